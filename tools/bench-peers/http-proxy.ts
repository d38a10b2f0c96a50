/**
 * http-proxy as a good user sets it up: connections to the origin are kept and
 * reused, forwarding fields are sent.
 *
 *     node tools/bench-peers/http-proxy.ts PORT ORIGIN
 */
import { Agent, createServer, ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';

const [port, origin] = process.argv.slice(2);

const proxy = httpProxy.createProxyServer({
  target: `http://${origin}`,
  agent: new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 }),
  xfwd: true,
});
proxy.on('error', (_error, _request, response) => {
  if (response instanceof ServerResponse && !response.headersSent) response.writeHead(502).end();
  else response.destroy();
});

const server = createServer((request, response) => proxy.web(request, response));
// As long as those of the other servers: none may close a connection that is being measured.
server.keepAliveTimeout = 300_000;
server.listen(Number(port), '127.0.0.1');

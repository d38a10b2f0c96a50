/**
 * A small origin server for the demo: says who it is.
 *
 *     node ops/demo/origin.ts 9101
 */
import { createServer } from 'node:http';

const port = Number(process.argv[2]);
if (!Number.isInteger(port) || port < 1 || port > 65_535) {
  process.stderr.write('usage: node ops/demo/origin.ts PORT\n');
  process.exit(1);
}

const server = createServer((request, response) => {
  response.setHeader('server', 'demo-origin');
  response.setHeader('x-powered-by', 'node');
  response.setHeader('content-type', 'text/plain');
  response.end(
    `origin ${port} got ${request.method} ${request.url} from ${String(request.headers['x-forwarded-for'])}\n`,
  );
});
// Longer than the gateway keeps idle connections, so that it is never the origin who closes one.
server.keepAliveTimeout = 120_000;
server.on('error', (error) => {
  process.stderr.write(`origin ${port}: ${error.message}\n`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => process.send?.('listening'));
// The demo that started it has ended, however that happened.
if (process.send !== undefined) process.on('disconnect', () => process.exit(0));

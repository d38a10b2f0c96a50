/**
 * @fastify/http-proxy as a good user sets it up: undici with connections that
 * are kept and reused, no request log, forwarding fields sent.
 *
 *     node tools/bench-peers/fastify.ts PORT ORIGIN
 */
import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';

const [port, origin] = process.argv.slice(2);

const server = fastify({ logger: false, keepAliveTimeout: 300_000 });
await server.register(httpProxy, {
  upstream: `http://${origin}`,
  undici: { connections: 64, pipelining: 1, keepAliveTimeout: 60_000 },
  replyOptions: {
    rewriteRequestHeaders: ({ ip, protocol }, headers) => ({
      ...headers,
      'x-forwarded-for': ip,
      'x-forwarded-proto': protocol,
    }),
  },
});
await server.listen({ port: Number(port), host: '127.0.0.1' });

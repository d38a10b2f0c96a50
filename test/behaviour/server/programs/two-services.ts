/** A program on the framework: two services, settings of its own in the file, a phase that throws. */
import { HttpPeer, httpProxyService, ProxyError, Server } from 'sluice';

const server = Server.fromArgs();
const { peer, greeting } = server.configuration as { peer: string; greeting: string };
const upstream = new HttpPeer(peer);

server.addService(
  httpProxyService<{ startedAt: number }>(
    {
      newCtx: () => ({ startedAt: Date.now() }),
      requestFilter(session) {
        if (session.request.target === '/greet') return session.respondJson(200, { greeting });
        if (session.request.target === '/throw') throw new TypeError('made for the test');
        if (session.request.target === '/refuse') {
          throw new ProxyError('upstream/none-healthy', 'made for the test');
        }
        return undefined;
      },
      upstreamPeer: () => upstream,
      upstreamRequestFilter(session, request) {
        request.headers.set('x-program', String(session.ctx.startedAt > 0));
        request.target = `/prefix${request.target}`;
      },
      upstreamResponseFilter(_session, response) {
        response.headers.set('x-from', 'upstream-response-filter');
      },
      async responseFilter(_session, response) {
        await Promise.resolve();
        response.headers.append('x-from', 'response-filter');
      },
      logging(session, error) {
        session.log.info({ status: session.status, code: error?.code }, 'logging phase');
      },
    },
    { name: 'one' },
  ).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService({ upstreamPeer: () => upstream }, { name: 'two' }).addTcp('127.0.0.1:0'),
);
await server.run();

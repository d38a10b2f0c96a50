/** So many requests a minute for each application, counted once for all workers. */
import { HttpPeer, httpProxyService, RateLimiter, Server, type ProxyHttp } from 'sluice';

interface Ctx {
  app: string;
  remaining: number;
}

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;

const { RATE = '20/m' } = process.env;

const origin = new HttpPeer(ORIGIN);

// 20 at once, then one every three seconds.
const limiter = new RateLimiter({ name: 'apps', rate: RATE, burst: 20 });

const proxy: ProxyHttp<Ctx> = {
  newCtx: () => ({ app: '-', remaining: 0 }),

  requestFilter(session) {
    const app = session.request.headers.get('x-app-id');
    if (app === undefined) return session.respondError(400);
    const { allowed, remaining, retryAfterMs } = limiter.check(app);
    session.ctx = { app, remaining };
    if (allowed) return undefined;
    return session.respondError(429, {
      'retry-after': String(Math.ceil(retryAfterMs / 1000)),
      'x-rate-limit-remaining': '0',
    });
  },

  upstreamPeer: () => origin,

  responseFilter({ ctx }, response) {
    response.headers.set('x-rate-limit-remaining', String(ctx.remaining));
  },

  logging({ log, status, ctx, elapsedMs }) {
    log.info({}, `status=${status} key=${ctx.app} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

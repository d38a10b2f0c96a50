/** All of it together: a key, a limit, healthy origins, figures, and thresholds from the configuration. */
import { httpProxyService, LoadBalancer, metrics, prometheusService } from 'sluice';
import { RateLimiter, Server, TcpHealthCheck, type ProxyHttp } from 'sluice';

interface Settings {
  readonly listen: string;
  readonly metrics_listen: string;
  readonly origins: readonly string[];
  readonly api_key: string;
  readonly limit: { readonly rate: string; readonly burst: number };
  readonly tls?: { readonly listen: string; readonly cert: string; readonly key: string };
}

const server = Server.fromArgs();
const settings = server.configuration as unknown as Settings;
const { LISTEN = settings.listen, METRICS = settings.metrics_listen } = process.env;
const origins = process.env['ORIGINS']?.split(',') ?? settings.origins;

const healthCheck = new TcpHealthCheck({ consecutiveFailure: 2 });
const options = { name: 'origins', healthCheck, healthCheckFrequencyMs: 1_000 };
const balancer = new LoadBalancer(origins, options);
const limiter = new RateLimiter({ name: 'keys', ...settings.limit });
const answers = metrics.counter({
  name: 'gateway_answers_total',
  help: 'Answers, by who gave them.',
  labels: { by: ['origin', 'gateway'] },
});

const proxy: ProxyHttp<{ key: string }> = {
  newCtx: () => ({ key: '-' }),
  requestFilter(session) {
    if (session.request.headers.get('x-api-key') !== settings.api_key) {
      return session.respondJson(401, { error: 'a valid x-api-key is needed' });
    }
    session.ctx.key = 'demo'; // whose it is, and not what it is
    const { allowed, retryAfterMs } = limiter.check(session.ctx.key);
    if (allowed) return undefined;
    return session.respondError(429, { 'retry-after': `${Math.ceil(retryAfterMs / 1000)}` });
  },
  upstreamPeer: ({ peer: failed }) =>
    balancer.selectWith((peer) => peer !== failed) ?? balancer.select(),
  upstreamRequestFilter: (_session, request) => void request.headers.delete('x-api-key'),
  responseFilter: (_session, { headers }) =>
    void headers.set('server', 'MyGateway').delete('x-powered-by'),
  failToProxy: (session, { code, facts }) => session.respondJson(facts.status, { error: code }),
  logging({ log, status, ctx, peer, elapsedMs }) {
    answers.with({ by: peer === undefined ? 'gateway' : 'origin' }).add();
    log.info({}, `status=${status} key=${ctx.key} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const retry = { statuses: [502, 503, 504], budgetPercent: 20 };
server.onStart(() => void process.stdout.write(`gateway: serving on ${LISTEN}\n`)); // once, for all workers
const gateway = httpProxyService(proxy, { name: 'gateway', retry }).addTcp(LISTEN);
if (settings.tls)
  gateway.addTls(settings.tls.listen, { cert: settings.tls.cert, key: settings.tls.key });
server.addService(gateway);
server.addService(prometheusService(METRICS));
await server.run();

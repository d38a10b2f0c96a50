/** An API key, a rate limit, two peers in turn and one header: a proxy in one file. */
import { LoadBalancer, RateLimiter, Server, TcpHealthCheck } from 'sluice';
import { httpProxyService, roundRobin, type ProxyHttp } from 'sluice';

const server = Server.fromArgs(); // -c FILE, -t, --threads N, --help
const { listen = '127.0.0.1:6188', peers = ['127.0.0.1:9101', '127.0.0.1:9102'] } =
  server.configuration as { listen?: string; peers?: string[] };

const balancer = new LoadBalancer(peers, {
  name: 'api', // names the peers in shared memory, in logs and in metrics
  selection: roundRobin(),
  healthCheck: new TcpHealthCheck(),
  healthCheckFrequencyMs: 1_000,
});

// One allowance per client for all workers together.
const limiter = new RateLimiter({ name: 'clients', rate: '10/s', burst: 20 });

const proxy: ProxyHttp = {
  requestFilter(session) {
    const { allowed, retryAfterMs } = limiter.check(session.clientIp);
    if (!allowed) {
      const seconds = String(Math.ceil(retryAfterMs / 1000));
      return session.respondError(429, { 'retry-after': seconds });
    }
    const hasKey = session.request.headers.get('x-api-key') === 'secret123';
    return hasKey ? undefined : session.respondError(401);
  },
  upstreamPeer: () => balancer.select(),
  responseFilter(_session, response) {
    response.headers.set('server', 'Gateway');
  },
};

server.addService(httpProxyService(proxy, { name: 'edge' }).addTcp(listen));
await server.run();

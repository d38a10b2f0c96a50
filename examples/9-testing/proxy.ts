/** What is tested: a gateway that limits, and asks whichever origin is well. */
import { LoadBalancer, RateLimiter, TcpHealthCheck, type ProxyHttp } from 'sluice';

/** A function, so that each test gets a balancer and a limiter of its own. */
export function gateway(origins: readonly string[]): ProxyHttp {
  const limiter = new RateLimiter({ name: 'clients', rate: '10/s', burst: 20 });
  const balancer = new LoadBalancer(origins, {
    name: 'origins',
    healthCheck: new TcpHealthCheck(),
    healthCheckFrequencyMs: 1_000,
    peerOptions: { readTimeoutMs: 5_000 },
  });
  return {
    requestFilter(session) {
      const { allowed } = limiter.check(session.clientIp);
      return allowed ? undefined : session.respondError(429);
    },
    upstreamPeer: () => balancer.select(),
    failToProxy: (session, { code, facts }) => session.respondJson(facts.status, { error: code }),
  };
}

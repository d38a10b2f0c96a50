/** The plan of a program: what its main module has built in this process, as data. */
import { connectionDefaults } from '../shared/config/load.ts';
import type { Plan } from '../shared/ipc/plan.ts';
import { programMetrics } from '../shared/metrics/program.ts';
import { allBalancers } from '../worker/balance/load-balancer.ts';
import { limiterSpecs } from '../worker/limits/rate-limiter.ts';
import type { HttpProxyService } from './service.ts';

export function planOf(
  services: readonly HttpProxyService[],
  configured: Pick<Plan, 'settings' | 'user' | 'pem'>,
): Plan {
  return {
    ...configured,
    listen: services.flatMap(({ listen }) => listen),
    services: services.map(({ name, settings: own }) => ({
      name,
      ...(own ?? connectionDefaults()),
    })),
    upstreams: allBalancers().map(({ name, peers }) => ({
      name,
      peers: peers.map(({ peer }) => peer.address),
    })),
    limits: limiterSpecs(),
    metrics: programMetrics(),
  };
}

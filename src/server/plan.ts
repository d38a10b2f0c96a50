/** The plan of a program: what its main module has built in this process, as data. */
import { connectionDefaults } from '../shared/config/load.ts';
import type { Plan } from '../shared/ipc/plan.ts';
import { programMetrics } from '../shared/metrics/program.ts';
import { allBalancers } from '../worker/balance/load-balancer.ts';
import { FIRST_SET_WAIT_MS } from '../worker/discovered-peers.ts';
import { limiterSpecs } from '../worker/limits/rate-limiter.ts';
import { BackgroundService } from './background-service.ts';
import { dependenciesOf, longestWait } from './dependencies.ts';
import { ListeningService, type Service } from './service.ts';

export function planOf(
  services: readonly Service[],
  configured: Pick<Plan, 'settings' | 'user' | 'pem'>,
): Plan {
  const listening = services.filter((service) => service instanceof ListeningService);
  const background = services.filter((service) => service instanceof BackgroundService);
  const upstreams = allBalancers().map(({ name, peers, discovery }) => ({
    name,
    peers: peers.map(({ peer }) => peer.address),
    ...(discovery !== undefined && { discovery: discovery.source }),
  }));
  const isDiscovered = upstreams.some(({ discovery }) => discovery !== undefined);
  return {
    ...configured,
    listen: listening.flatMap(({ listen }) => listen),
    services: listening.map(({ name, settings: own }) => ({
      name,
      ...(own ?? connectionDefaults()),
    })),
    tasks: background.map(({ name }) => name),
    serviceWaitMs: longestWait(dependenciesOf(services)) + (isDiscovered ? FIRST_SET_WAIT_MS : 0),
    upstreams,
    limits: limiterSpecs(),
    metrics: programMetrics(),
  };
}

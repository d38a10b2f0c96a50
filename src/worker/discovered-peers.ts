/**
 * Discovery as one worker sees it: the sets of all upstreams in shared memory,
 * followed for its balancers, and those kept up to date for which it has the duty.
 */
import { discoveryDuty, type Duty } from '../shared/ipc/messages.ts';
import type { Log } from '../shared/log/log.ts';
import { DiscoveredSet, discoveredSetSpec } from '../shared/memory/discovered-set.ts';
import type { Segment, SegmentSpec } from '../shared/memory/segment.ts';
import type { Time } from '../shared/time/time.ts';
import { allBalancers, type LoadBalancer } from './balance/load-balancer.ts';
import type { Discovery } from './discovery/discovery.ts';
import { followSets } from './discovery/follow-sets.ts';
import { runDiscovery } from './discovery/run-discovery.ts';

/** For the first set, before a worker serves without it: longer than DNS with a dead server needs. */
export const FIRST_SET_WAIT_MS = 5_000;

export interface DiscoveredPeers {
  /** Resolves once all sets are there, or that took too long. */
  ready(): Promise<void>;
  /** Finds out for all workers, if that is what the duty is. @returns whether it is */
  take(duty: Duty): boolean;
  /** @returns the duties that it had */
  stopRunning(): readonly Duty[];
  stop(): void;
}

interface Discovered {
  readonly balancer: LoadBalancer;
  readonly discovery: Discovery;
}

function discovered(): Discovered[] {
  return allBalancers().flatMap((balancer) => {
    const { discovery } = balancer;
    return discovery === undefined ? [] : [{ balancer, discovery }];
  });
}

/** The segments that the balancers of the program need. */
export function discoverySpecs(): SegmentSpec[] {
  return discovered().map(({ balancer, discovery }) =>
    discoveredSetSpec(balancer.name, discovery.source),
  );
}

/** What is known already is used before this returns. */
export function openDiscoveredPeers(
  need: (name: string) => Segment,
  time: Time,
  log: Log,
): DiscoveredPeers {
  const upstreams = discovered().map(({ balancer, discovery }) => {
    const { name: upstream } = balancer;
    const segment = need(discoveredSetSpec(upstream, discovery.source).name);
    const set = new DiscoveredSet(segment);
    const isShared = segment.fd !== undefined;
    return {
      duty: discoveryDuty(upstream, discovery.source),
      followed: { upstream, set, isShared, use: balancer.update.bind(balancer) },
      run: () =>
        runDiscovery({ upstream, discovery, set, time, log, onChange: () => following.look() }),
    };
  });
  const following = followSets(
    upstreams.map(({ followed }) => followed),
    time,
    log,
  );
  const running = new Map<Duty, () => void>();
  const take = (duty: Duty) => {
    const meant = upstreams.find((each) => each.duty === duty);
    if (meant === undefined) return false;
    if (!running.has(duty)) running.set(duty, meant.run());
    return true;
  };
  const stopRunning = () => {
    const duties = [...running.keys()];
    for (const stop of running.values()) stop();
    running.clear();
    return duties;
  };
  return {
    ready() {
      // Without shared memory nobody else finds out for this worker.
      for (const { duty, followed } of upstreams) if (!followed.isShared) take(duty);
      return following.firstSets(FIRST_SET_WAIT_MS);
    },
    take,
    stopRunning,
    stop() {
      stopRunning();
      following.stop();
    },
  };
}

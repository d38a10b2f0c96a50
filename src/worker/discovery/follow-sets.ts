/** Brings what was discovered, here or in another worker, to the balancers of this one. */
import type { Log } from '../../shared/log/log.ts';
import type { DiscoveredPeer, DiscoveredSet } from '../../shared/memory/discovered-set.ts';
import type { Time } from '../../shared/time/time.ts';

export interface Followed {
  readonly upstream: string;
  readonly set: DiscoveredSet;
  /** Memory is shared: others may find a set while this worker does not. */
  readonly isShared: boolean;
  /** @throws {Error} they cannot be used; those before stay */
  use(peers: readonly DiscoveredPeer[]): void;
}

export interface Following {
  /** Resolves once each has its first set, or nobody is likely to find it, or the time is over. */
  firstSets(waitMs: number): Promise<void>;
  /** Now, and not only when the next look is due: this worker has changed something itself. */
  look(): void;
  stop(): void;
}

/** One load from memory for each upstream. */
const LOOK_MS = 100;

/**
 * To work out what a balancer needs of a thousand peers can take a third of a second. After that
 * it rests for so many times as long, in which changes gather: a worker has requests to serve.
 */
const REST = 9;

/** What is there already is used before this returns. */
export function followSets(followed: readonly Followed[], time: Time, log: Log): Following {
  const seen = new Map<Followed, number>();
  const waiting = new Set<() => void>();
  let restUntil = 0;
  const isMissing = (each: Followed) => !seen.has(each) && (each.isShared || !each.set.isFailing);
  const missing = () => followed.filter(isMissing).map(({ upstream }) => upstream);
  const look = () => {
    for (const each of followed) {
      if (each.set.number === (seen.get(each) ?? 0)) continue;
      const begunAt = time.now();
      if (seen.has(each) && begunAt < restUntil) continue;
      const found = each.set.read();
      // It is being written just now.
      if (found === undefined) continue;
      seen.set(each, found.number);
      try {
        each.use(found.peers);
      } catch (thrown) {
        log.error({ err: thrown, upstream: each.upstream }, 'discovered peers cannot be used');
      }
      restUntil = time.now() + (time.now() - begunAt) * REST;
    }
    if (missing().length === 0) for (const go of waiting) go();
  };
  look();
  const stop = followed.length === 0 ? () => {} : time.every(LOOK_MS, look);
  return {
    stop,
    look,
    firstSets(waitMs) {
      if (missing().length === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const go = () => {
          cancel();
          waiting.delete(go);
          resolve();
        };
        const cancel = time.after(waitMs, () => {
          log.warn(
            { upstreams: missing(), waitMs },
            'serving without peers: discovery has found none yet',
          );
          go();
        });
        waiting.add(go);
      });
    },
  };
}

/**
 * Of two peers drawn by chance, the one that will probably answer first: by how
 * long its responses take to begin, times what is under way already and this
 * request. The latency is a mean that forgets and that one slow response lifts at
 * once (`shared/memory/peer-load.ts`).
 */
import type { Candidate, Selection } from './selection.ts';
import { TwoDraws } from './two-draws.ts';

export function ewma(): Selection {
  return {
    name: 'ewma',
    byKey: false,
    byLatency: true,
    build(candidates) {
      const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
      const mean = total / candidates.length;
      return new TwoDraws(candidates, (one, other) => isFaster(one, other, mean));
    },
  };
}

/** @param mean weight, so that weights of 1 and 2 mean the same as 100 and 200 */
function isFaster(one: Candidate, other: Candidate, mean: number): boolean {
  const [load, otherLoad] = [loadOf(one, mean), loadOf(other, mean)];
  const { latencyUs } = one;
  const { latencyUs: otherLatencyUs } = other;
  // A peer that nobody knows yet counts as as fast as any: else it would get all requests, or none.
  if (latencyUs === 0 || otherLatencyUs === 0) return load < otherLoad;
  return latencyUs * load < otherLatencyUs * otherLoad;
}

/** Idle peers are at 1, whatever they weigh: weights have had their say in the draw. */
function loadOf({ inFlight, weight }: Candidate, mean: number): number {
  return 1 + (inFlight * mean) / weight;
}

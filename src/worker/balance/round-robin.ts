/**
 * Smooth weighted round robin: with weights 2 and 1 the order is a, b, a and not
 * a, a, b, so a heavy peer gets no bursts.
 *
 * The order of one round is worked out once. A pick is then a step in it, and
 * steps over those that are not taken, whose shares so go to all others in
 * proportion to their weights.
 */
import type { Candidate, Picker, Selection } from './selection.ts';
import { reduced } from './weights.ts';

/** Working out a round takes its length times the number of peers: so many steps, some 20 ms, at most. */
const MAX_STEPS = 2 ** 24;

export function roundRobin(): Selection {
  return {
    name: 'round_robin',
    byKey: false,
    build: (candidates) => new RoundRobin(candidates),
  };
}

class RoundRobin<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** Indexes of candidates. */
  readonly #round: Uint32Array;
  /** Somewhere, or all workers would send their first requests to the same peer. */
  #next: number;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    this.#round = smoothRound(reduced(candidates, MAX_STEPS / candidates.length));
    this.#next = Math.floor(Math.random() * this.#round.length);
  }

  pick(accept: (candidate: C) => boolean): C | undefined {
    const round = this.#round;
    for (let step = 0; step < round.length; step++) {
      const candidate = this.#candidates[round[this.#next]!]!;
      this.#next = this.#next + 1 === round.length ? 0 : this.#next + 1;
      if (accept(candidate)) return candidate;
    }
    return undefined;
  }
}

/** At each step everybody earns its weight, and who has the most pays for all. */
function smoothRound(weights: readonly number[]): Uint32Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const round = new Uint32Array(total);
  const credit = new Float64Array(weights.length);
  for (let step = 0; step < total; step++) {
    let chosen = 0;
    for (let index = 0; index < weights.length; index++) {
      credit[index]! += weights[index]!;
      if (credit[index]! > credit[chosen]!) chosen = index;
    }
    credit[chosen]! -= total;
    round[step] = chosen;
  }
  return round;
}

/** Each request for itself, in proportion to the weights. */
import type { Candidate, Picker, Selection } from './selection.ts';

/** So many draws may hit somebody who is not taken; then a draw among the takable ones ends it. */
const MAX_DRAWS = 16;

export function random(): Selection {
  return { name: 'random', byKey: false, build: (candidates) => new WeightedDraw(candidates) };
}

export class WeightedDraw<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** By candidate: its weight and those before it. */
  readonly #upTo: Float64Array;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    let total = 0;
    this.#upTo = Float64Array.from(candidates, ({ weight }) => (total += weight));
  }

  pick(accept: (candidate: C) => boolean): C | undefined {
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const candidate = this.#draw();
      if (accept(candidate)) return candidate;
    }
    const takable = this.#candidates.filter(accept);
    return takable.length === 0 ? undefined : new WeightedDraw(takable).#draw();
  }

  #draw(): C {
    const upTo = this.#upTo;
    const ticket = Math.random() * upTo[upTo.length - 1]!;
    let low = 0;
    let high = upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ticket < upTo[middle]!) high = middle;
      else low = middle + 1;
    }
    return this.#candidates[low]!;
  }
}

/**
 * The better of two candidates that are drawn by chance.
 *
 * The best of all would be everybody's choice at once, and so be the worst one a
 * moment later: figures of other processes are always a little old. Two draws
 * avoid that, keep the longest queue short nearly as well, and cost the same for
 * a thousand peers as for ten.
 *
 * Weights decide how often a candidate is drawn, so that idle peers share in
 * proportion to them.
 */
import type { Candidate, Picker } from './selection.ts';
import { WeightedDraw } from './weighted-draw.ts';

export class TwoDraws<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  readonly #draw: WeightedDraw<C>;
  readonly #isBetter: (one: C, other: C) => boolean;

  constructor(candidates: readonly C[], isBetter: (one: C, other: C) => boolean) {
    this.#candidates = candidates;
    this.#draw = new WeightedDraw(candidates);
    this.#isBetter = isBetter;
  }

  pick(accept: (candidate: C) => boolean): C | undefined {
    const first = this.#draw.one(accept);
    if (first < 0) return undefined;
    const second = this.#draw.other(first, accept);
    const [one, other] = [this.#candidates[first]!, this.#candidates[second]];
    return other !== undefined && this.#isBetter(other, one) ? other : one;
  }
}

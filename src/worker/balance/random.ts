/** Each request for itself, in proportion to the weights. */
import type { Candidate, Picker, Selection } from './selection.ts';
import { WeightedDraw } from './weighted-draw.ts';

export function random(): Selection {
  return { name: 'random', byKey: false, build: (candidates) => new Random(candidates) };
}

class Random<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  readonly #draw: WeightedDraw<C>;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    this.#draw = new WeightedDraw(candidates);
  }

  pick(accept: (candidate: C) => boolean): C | undefined {
    return this.#candidates[this.#draw.one(accept)];
  }
}

/** Draws candidates by chance, in proportion to their weights. */
import type { Candidate } from './selection.ts';

/** So many draws may hit somebody who is not taken; then a draw among the takable ones ends it. */
const MAX_DRAWS = 16;

export class WeightedDraw<C extends Candidate> {
  readonly #candidates: readonly C[];
  /** By candidate: its weight and those before it. */
  readonly #upTo: Float64Array;
  readonly #total: number;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    let total = 0;
    this.#upTo = Float64Array.from(candidates, ({ weight }) => (total += weight));
    this.#total = total;
  }

  /** Index of one that `accept` takes; -1 if it takes none. */
  one(accept: (candidate: C) => boolean): number {
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const index = this.#at(Math.random() * this.#total);
      if (accept(this.#candidates[index]!)) return index;
    }
    return this.#among(accept, -1);
  }

  /** As `one`, but not that one. */
  other(than: number, accept: (candidate: C) => boolean): number {
    if (this.#candidates.length === 1) return -1;
    const end = this.#upTo[than]!;
    const { weight } = this.#candidates[than]!;
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const ticket = Math.random() * (this.#total - weight);
      // Its tickets are left out: those that would hit it, and all after them, mean later ones.
      const index = this.#at(ticket < end - weight ? ticket : ticket + weight);
      if (index !== than && accept(this.#candidates[index]!)) return index;
    }
    return this.#among(accept, than);
  }

  #among(accept: (candidate: C) => boolean, except: number): number {
    const takable = this.#candidates.filter((each, index) => index !== except && accept(each));
    if (takable.length === 0) return -1;
    const among = new WeightedDraw(takable);
    return this.#candidates.indexOf(takable[among.#at(Math.random() * among.#total)]!);
  }

  #at(ticket: number): number {
    const upTo = this.#upTo;
    let low = 0;
    let high = upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ticket < upTo[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/**
 * The peer with the fewest requests under way for its weight, of all there are;
 * of several such, one by chance, in proportion to their weights.
 *
 * A tree over the candidates has in each node the least load below it, and the
 * weight of those who have it: a choice is a walk from the root to a leaf. The tree
 * is a little old: counts change, in other processes too. So whoever is found
 * there is looked at again before it is chosen, and all are after a time that
 * keeps the cost of that at about 0.3 % of a core. So a peer that has become busier
 * is not taken for idle, and one that has become idle is found among 1,000 within 10 ms.
 */
import type { Candidate, Picker, Selection } from './selection.ts';

export function leastRequests(): Selection {
  return {
    name: 'least_requests',
    byKey: false,
    build: (candidates) => new LeastLoaded(candidates),
  };
}

const REFRESH_MS_PER_CANDIDATE = 0.01;

class LeastLoaded<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** Leaves; a power of two. The root is node 1, the leaf of a candidate is its index after them. */
  readonly #leaves: number;
  /** By node: the least load below it; infinite if nobody is there. */
  readonly #least: Float64Array;
  /** By node: the weights of those who have it, together. */
  readonly #weights: Float64Array;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  /** Index of the latest choice, which is busier by now. */
  #latest = 0;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    this.#leaves = 2 ** Math.ceil(Math.log2(candidates.length));
    this.#least = new Float64Array(this.#leaves * 2).fill(Number.POSITIVE_INFINITY);
    this.#weights = new Float64Array(this.#leaves * 2);
    for (const [index, { weight }] of candidates.entries())
      this.#weights[this.#leaves + index] = weight;
  }

  pick(accept: (candidate: C) => boolean): C | undefined {
    if (!this.#refresh()) this.#lookAt(this.#latest);
    const refused: number[] = [];
    let looks = 0;
    let chosen: C | undefined;
    while (this.#least[1] !== Number.POSITIVE_INFINITY) {
      const index = this.#draw();
      const candidate = this.#candidates[index]!;
      const load = loadOf(candidate);
      // So many looks have seen everybody: what changes faster than that is right enough.
      if (load !== this.#least[this.#leaves + index] && looks++ < this.#candidates.length) {
        this.#set(index, load);
      } else if (accept(candidate)) {
        chosen = candidate;
        this.#latest = index;
        break;
      } else {
        this.#set(index, Number.POSITIVE_INFINITY);
        refused.push(index);
      }
    }
    for (const index of refused) this.#lookAt(index);
    return chosen;
  }

  /** Looks at all of them, if it is time to. */
  #refresh(): boolean {
    const now = performance.now();
    if (now - this.#refreshedAt < this.#candidates.length * REFRESH_MS_PER_CANDIDATE) return false;
    this.#refreshedAt = now;
    for (const [index, candidate] of this.#candidates.entries())
      this.#least[this.#leaves + index] = loadOf(candidate);
    for (let node = this.#leaves - 1; node >= 1; node--) this.#join(node);
    return true;
  }

  #lookAt(index: number): void {
    this.#set(index, loadOf(this.#candidates[index]!));
  }

  /** Index of one who has the least load. */
  #draw(): number {
    let node = 1;
    let ticket = Math.random() * this.#weights[1]!;
    while (node < this.#leaves) {
      node *= 2;
      const left = this.#least[node]! <= this.#least[node + 1]! ? this.#weights[node]! : 0;
      const isAlone = this.#least[node]! < this.#least[node + 1]!;
      if (isAlone || ticket < left) continue;
      ticket -= left;
      node += 1;
    }
    return node - this.#leaves;
  }

  #set(index: number, load: number): void {
    let node = this.#leaves + index;
    this.#least[node] = load;
    while (node > 1) {
      node >>= 1;
      this.#join(node);
    }
  }

  #join(node: number): void {
    const [left, right] = [node * 2, node * 2 + 1];
    const [one, other] = [this.#least[left]!, this.#least[right]!];
    this.#least[node] = Math.min(one, other);
    this.#weights[node] =
      (one <= other ? this.#weights[left]! : 0) + (other <= one ? this.#weights[right]! : 0);
  }
}

function loadOf({ inFlight, weight }: Candidate): number {
  return inFlight / weight;
}

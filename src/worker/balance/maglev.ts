/**
 * Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): a table of a prime
 * number of places, filled by the peers in turn, each along a permutation of
 * its own. A choice is one look into it; shares are more even than a ring's,
 * and when a peer leaves little more than its own keys move.
 */
import { hash32 } from '../../shared/memory/hash.ts';
import type { Candidate, Picker, Selection } from './selection.ts';

/** A prime, well above a hundred times the peers that one expects at most. */
const PLACES = 65_537;

/** The same on every host, or a key would have as many peers as there are hosts. */
const Seed = { offset: 0x6f66, skip: 0x736b, key: 0x6b65 } as const;

/** So many places a key is looked for at before the table is gone through in order. */
const MAX_PLACES = 16;

export function maglev(): Selection {
  return {
    name: 'maglev',
    byKey: true,
    build(candidates) {
      if (candidates.length > PLACES / 2) {
        throw new RangeError(
          `maglev: expected at most ${Math.floor(PLACES / 2)} peers, got ${candidates.length}`,
        );
      }
      return new Table(candidates);
    },
  };
}

class Table<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** Indexes of candidates. */
  readonly #places: Uint16Array;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    this.#places = fill(candidates);
  }

  pick(accept: (candidate: C) => boolean, key: string): C | undefined {
    let place = 0;
    for (let nth = 0; nth < MAX_PLACES; nth++) {
      place = unsigned(hash32(key, Seed.key + nth)) % PLACES;
      const candidate = this.#candidates[this.#places[place]!]!;
      if (accept(candidate)) return candidate;
    }
    const takable = this.#candidates.filter(accept);
    return takable[place % takable.length];
  }
}

/** Peers take turns, a light one only as often as its share of the heaviest one's weight allows. */
function fill(candidates: readonly Candidate[]): Uint16Array {
  const heaviest = Math.max(...candidates.map(({ weight }) => weight));
  const walks = candidates.map(({ address, weight }) => ({
    share: weight / heaviest,
    turns: 0,
    next: unsigned(hash32(address, Seed.offset)) % PLACES,
    skip: (unsigned(hash32(address, Seed.skip)) % (PLACES - 1)) + 1,
  }));
  const places = new Uint16Array(PLACES);
  const taken = new Uint8Array(PLACES);
  let free = PLACES;
  for (let round = 1; ; round++) {
    for (const [index, walk] of walks.entries()) {
      if (walk.turns > round * walk.share - 1) continue;
      walk.turns += 1;
      // A prime number of places: every walk comes to each of them.
      while (taken[walk.next] === 1) walk.next = (walk.next + walk.skip) % PLACES;
      taken[walk.next] = 1;
      places[walk.next] = index;
      if (--free === 0) return places;
    }
  }
}

function unsigned(hash: number): number {
  return hash >>> 0;
}

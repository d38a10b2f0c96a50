/**
 * FNV-1a of the key, modulo the peers in order of their addresses, each as often
 * as its weight says. Quick and even, but almost every key moves when the
 * set of peers changes; `consistent` and `maglev` move only what they must.
 */
import type { Candidate, Picker, Selection } from './selection.ts';
import { reduced } from './weights.ts';

/** Entries of the list; beyond it weights are scaled down. */
const MAX_ENTRIES = 65_535;

/** So many places a key is looked for at before those that are left are gone through in order. */
const MAX_PLACES = 16;

export function fnvHash(): Selection {
  return { name: 'fnv_hash', byKey: true, build: (candidates) => new HashedList(candidates) };
}

class HashedList<C extends Candidate> implements Picker<C> {
  readonly #entries: readonly C[];
  readonly #candidates: readonly C[];

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates.toSorted(byAddress);
    const weights = reduced(this.#candidates, MAX_ENTRIES);
    this.#entries = this.#candidates.flatMap((candidate, index) =>
      Array.from({ length: weights[index]! }, () => candidate),
    );
  }

  pick(accept: (candidate: C) => boolean, key: string): C | undefined {
    let hash = fnv1a(key);
    for (let place = 0; place < MAX_PLACES; place++) {
      const candidate = this.#entries[hash % this.#entries.length]!;
      if (accept(candidate)) return candidate;
      // The next place is as far from this one as chance has it, so that the keys of one who leaves spread.
      hash = fnv1a(String(hash));
    }
    const takable = this.#candidates.filter(accept);
    return takable[hash % takable.length];
  }
}

/** 32 bits, over the key's bytes in UTF-8. */
export function fnv1a(key: string): number {
  let hash = 0x811c9dc5;
  const bytes = Buffer.from(key);
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function byAddress(one: Candidate, other: Candidate): number {
  if (one.address === other.address) return 0;
  return one.address < other.address ? -1 : 1;
}

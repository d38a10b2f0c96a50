/**
 * Consistent hashing by Ketama's ring, point for point that of nginx's
 * `hash … consistent`: a key that went to a peer there goes to the same one here.
 *
 * Each peer has 160 points per unit of weight on a ring of 2³² places. A point is
 * the CRC-32 of the host, a zero byte, the port, and the point before it (four
 * bytes, little endian; 0 before the first). A key belongs to the first point at or
 * after its own CRC-32. When a peer leaves, only its keys move, each to the
 * next point's peer.
 */
import { crc32 } from 'node:zlib';
import type { Candidate, Picker, Selection } from './selection.ts';
import { reduced } from './weights.ts';

const POINTS_PER_WEIGHT = 160;

/** Of all peers together; beyond it their weights are scaled down. Such a ring is 8 MiB and takes a third of a second. */
const MAX_POINTS = 2 ** 20;

export function consistent(): Selection {
  return { name: 'consistent', byKey: true, build: (candidates) => new Ring(candidates) };
}

class Ring<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  readonly #points: Uint32Array;
  /** By point. */
  readonly #owners: Uint32Array;

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
    const ring = ringOf(candidates);
    this.#points = Uint32Array.from(ring, (place) => Math.floor(place / MAX_OWNERS));
    this.#owners = Uint32Array.from(ring, (place) => place % MAX_OWNERS);
  }

  pick(accept: (candidate: C) => boolean, key: string): C | undefined {
    const owners = this.#owners;
    const home = this.#firstAtOrAfter(crc32(key));
    const first = owners[home]!;
    if (accept(this.#candidates[first]!)) return this.#candidates[first];
    // Rare enough for a set: the key's own peer is not there.
    const asked = new Set([first]);
    for (let step = 1; asked.size < this.#candidates.length && step < owners.length; step++) {
      const owner = owners[(home + step) % owners.length]!;
      if (asked.has(owner)) continue;
      if (accept(this.#candidates[owner]!)) return this.#candidates[owner];
      asked.add(owner);
    }
    return undefined;
  }

  #firstAtOrAfter(place: number): number {
    const points = this.#points;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low === points.length ? 0 : low;
  }
}

/** A point and its owner in one number, so that numbers can be sorted: the point first. */
const MAX_OWNERS = 2 ** 20;

function ringOf(candidates: readonly Candidate[]): Float64Array {
  const weights = pointWeights(candidates);
  const places = candidates.flatMap(({ address }, owner) =>
    pointsOf(address, weights[owner]! * POINTS_PER_WEIGHT).map((at) => at * MAX_OWNERS + owner),
  );
  const sorted = Float64Array.from(places).sort();
  const pointAt = (index: number) => Math.floor(sorted[index]! / MAX_OWNERS);
  return sorted.filter((_, index) => index === 0 || pointAt(index) !== pointAt(index - 1));
}

/** Not divided by what they have in common: nginx does not, and the ring would be another. */
function pointWeights(candidates: readonly Candidate[]): number[] {
  const weights = candidates.map(({ weight }) => weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const limit = MAX_POINTS / POINTS_PER_WEIGHT;
  return total <= limit ? weights : reduced(candidates, limit);
}

function pointsOf(address: string, count: number): number[] {
  const { host, port } = partsOf(address);
  const base = crc32(port, crc32('\0', crc32(host)));
  const before = Buffer.alloc(4);
  return Array.from({ length: Math.max(1, Math.floor(count)) }, () => {
    const point = crc32(before, base);
    before.writeUInt32LE(point);
    return point;
  });
}

/** As nginx takes the name of a server apart. */
function partsOf(address: string): { host: string; port: string } {
  const name = address.startsWith('unix:') ? address.slice('unix:'.length) : address;
  const match = /^(.*):(\d*)$/s.exec(name);
  return match === null ? { host: name, port: '' } : { host: match[1]!, port: match[2]! };
}

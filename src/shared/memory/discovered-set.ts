/**
 * The peers of one upstream as its discovery has found them last. Every worker
 * reads them here, so that all agree, and one that starts has them at once, also
 * after a reload or an upgrade, and while the source is away.
 *
 *   offset  type   field                                   written by
 *        0  i32    number of the latest set; 0 before      the worker that has the duty, by
 *                  the first one                           compare-and-exchange
 *        4  i32    1: the source does not tell any more    the same
 *        8  f64    when the set was last found to be true, the same
 *                  nanoseconds
 *       16  ...    the set with an even number, then the one with an odd number, each:
 *                    0  i32  its number
 *                    4  i32  bytes of text
 *                    8  u32  CRC-32 of the text, started with the number
 *                   12  ...  JSON: [[address, weight, priority, slot], ...]
 *
 * The latest set is never written over: the next one goes where the one before it
 * was. During an upgrade two workers have the duty for a moment, and could; so a
 * reader believes only what agrees with its checksum, and one who finds that another
 * has published meanwhile publishes again.
 *
 * A peer keeps its slot while it is there, and the slots of those that have gone are
 * given away again. What is known of a peer has its row in the table of peers by its
 * slot: addresses come and go without end, and rows are never freed.
 */
import { crc32 } from 'node:zlib';
import type { Segment, SegmentSpec } from './segment.ts';

export interface DiscoveredPeer {
  readonly address: string;
  readonly weight: number;
  readonly priority: number;
  /** From 0 on, of no other peer of the set. */
  readonly slot: number;
}

/** What names the row of a peer in the table of peers, where its address would. */
export function slotName(source: string, slot: number): string {
  return `${source} #${slot}`;
}

const NUMBER = 0;
const FAILING = 1;
const CONFIRMED = 1;
const HEAD_BYTES = 16;
const COPY_HEAD_BYTES = 12;
/** Of a thousand peers with long names it takes a quarter. */
const MAX_TEXT_BYTES = 256 * 1024;
const COPY_BYTES = COPY_HEAD_BYTES + MAX_TEXT_BYTES;
/** Somebody else would have to publish in just that moment, each time. */
const MAX_TRIES = 16;

/** @param source a set that another source has found is not used */
export function discoveredSetSpec(upstream: string, source: string): SegmentSpec {
  return {
    name: `discovery:${upstream}`,
    layout: 1,
    size: HEAD_BYTES + 2 * COPY_BYTES,
    contents: JSON.stringify({ source }),
  };
}

type Row = [address: string, weight: number, priority: number, slot: number];

export class DiscoveredSet {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  constructor({ buffer, offset, size }: Segment) {
    this.#words = new Int32Array(buffer, offset, 2);
    this.#doubles = new Float64Array(buffer, offset, 2);
    this.#bytes = Buffer.from(buffer as ArrayBuffer, offset, size);
    this.#view = new DataView(buffer, offset, size);
  }

  /** Of the latest set; another one after each that is published. 0: there is none yet. */
  get number(): number {
    return Atomics.load(this.#words, NUMBER);
  }

  get isFailing(): boolean {
    return Atomics.load(this.#words, FAILING) === 1;
  }

  /** Nanoseconds. */
  get confirmedAt(): number {
    return this.#doubles[CONFIRMED]!;
  }

  /** The source tells, and the latest set is what it tells. */
  confirm(nowNs: number): void {
    this.#doubles[CONFIRMED] = nowNs;
    Atomics.store(this.#words, FAILING, 0);
  }

  fail(): void {
    Atomics.store(this.#words, FAILING, 1);
  }

  /** The latest set; `undefined` if there is none, or it is being written just now. */
  read(): { readonly number: number; readonly peers: readonly DiscoveredPeer[] } | undefined {
    const { number } = this;
    if (number === 0) return undefined;
    const at = this.#copyAt(number);
    const length = this.#view.getInt32(at + 4, true);
    if (length < 0 || length > MAX_TEXT_BYTES) return undefined;
    const sum = this.#view.getUint32(at + 8, true);
    const start = at + COPY_HEAD_BYTES;
    const text = Buffer.from(this.#bytes.subarray(start, start + length));
    if (this.#view.getInt32(at, true) !== number || crc32(text, number >>> 0) !== sum)
      return undefined;
    const rows = JSON.parse(text.toString('utf8')) as Row[];
    return {
      number,
      peers: rows.map(([address, weight, priority, slot]) => ({ address, weight, priority, slot })),
    };
  }

  /** For the metrics page. */
  figures(nowNs: number) {
    const hasSet = this.number !== 0;
    return {
      peers: this.read()?.peers.length ?? 0,
      ageSeconds: hasSet ? Math.max(0, nowNs - this.confirmedAt) / 1e9 : undefined,
      isFailing: this.isFailing,
    };
  }

  /** @throws {RangeError} the addresses are too long to be kept */
  publish(peers: readonly Omit<DiscoveredPeer, 'slot'>[]): void {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const before = this.number;
      const text = Buffer.from(JSON.stringify(withSlots(peers, this.read()?.peers ?? [])));
      if (text.length > MAX_TEXT_BYTES) {
        throw new RangeError(
          `expected peers that take at most ${MAX_TEXT_BYTES} bytes, got ${text.length}`,
        );
      }
      const number = (before + 1) | 0;
      const at = this.#copyAt(number);
      this.#view.setInt32(at, number, true);
      this.#view.setInt32(at + 4, text.length, true);
      this.#view.setUint32(at + 8, crc32(text, number >>> 0), true);
      this.#bytes.set(text, at + COPY_HEAD_BYTES);
      if (Atomics.compareExchange(this.#words, NUMBER, before, number) === before) return;
    }
  }

  #copyAt(number: number): number {
    return HEAD_BYTES + (number & 1) * COPY_BYTES;
  }
}

/** Those that were there keep theirs; the others get the first ones that nobody has. */
function withSlots(
  peers: readonly Omit<DiscoveredPeer, 'slot'>[],
  before: readonly DiscoveredPeer[],
): Row[] {
  const had = new Map(before.map(({ address, slot }) => [address, slot]));
  const taken = new Set(peers.map(({ address }) => had.get(address)));
  let free = 0;
  return peers.map(({ address, weight, priority }) => {
    const kept = had.get(address);
    if (kept !== undefined) return [address, weight, priority, kept];
    while (taken.has(free)) free += 1;
    return [address, weight, priority, free++];
  });
}

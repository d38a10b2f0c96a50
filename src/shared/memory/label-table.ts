/**
 * Values of labels that are not known before they are seen, so that all
 * processes count the same value in the same place. A label has a range of rows;
 * whoever meets a value first claims the next free one of them, and it is the
 * value's for good.
 *
 * A row is 128 bytes, little endian:
 *
 *   offset  type       field                                  written by
 *        0  i32×2      hash; 0, 0 marks a free row            whoever claims it, once, by one
 *                                                             64-bit compare-and-exchange
 *        8  i32        length of the text plus 1; 0: not      the same, last. If it died before,
 *                      written yet                            the next who meets the value, who
 *       12  116 bytes  the value in UTF-8                     then writes the same bytes
 */
import { hash32 } from './hash.ts';
import { seedOf, type Segment } from './segment.ts';

const ROW_BYTES = 128;
const TEXT_AT = 12;
const MAX_TEXT_BYTES = ROW_BYTES - TEXT_AT;

export function labelTableSize(rows: number): number {
  return rows * ROW_BYTES;
}

/** The rows of one label. */
export interface LabelRange {
  readonly start: number;
  readonly rows: number;
}

export class LabelTable {
  readonly #tags: BigInt64Array;
  readonly #words: Int32Array;
  readonly #bytes: Buffer;
  readonly #seed: readonly [number, number];

  constructor(segment: Segment) {
    const { buffer, offset, size } = segment;
    this.#tags = new BigInt64Array(buffer, offset, size / 8);
    this.#words = new Int32Array(buffer, offset, size / 4);
    this.#bytes = Buffer.from(buffer as ArrayBuffer, offset, size);
    this.#seed = seedOf(segment);
  }

  /** @returns the value's row in its range; `undefined`: no row is free, or the value is too long for one */
  claim({ start, rows }: LabelRange, value: string): number | undefined {
    const text = Buffer.from(value);
    if (text.length > MAX_TEXT_BYTES) return undefined;
    const tag = this.#tagOf(value);
    for (let row = 0; row < rows; row++) {
      const at = start + row;
      const found = Atomics.compareExchange(this.#tags, (at * ROW_BYTES) / 8, 0n, tag);
      if (found !== 0n && found !== tag) continue;
      const written = this.#textOf(at);
      if (written === undefined) this.#write(at, text);
      // Two values of one hash, which is as likely as it sounds.
      else if (!written.equals(text)) continue;
      return row;
    }
    return undefined;
  }

  /** By row; `undefined` where there is none yet. */
  valuesIn({ start, rows }: LabelRange): (string | undefined)[] {
    return Array.from({ length: rows }, (_, row) => this.#textOf(start + row)?.toString());
  }

  #tagOf(value: string): bigint {
    const first = hash32(value, this.#seed[0]) | 1; // never 0, which marks a free row
    return (BigInt(hash32(value, this.#seed[1])) << 32n) | BigInt(first >>> 0);
  }

  #textOf(row: number): Buffer | undefined {
    const length = Atomics.load(this.#words, (row * ROW_BYTES) / 4 + 2) - 1;
    if (length < 0) return undefined;
    const start = row * ROW_BYTES + TEXT_AT;
    return this.#bytes.subarray(start, start + length);
  }

  #write(row: number, text: Buffer): void {
    text.copy(this.#bytes, row * ROW_BYTES + TEXT_AT);
    Atomics.store(this.#words, (row * ROW_BYTES) / 4 + 2, text.length + 1);
  }
}

/**
 * Figures of all processes. One row per process, written by that process alone,
 * so plain additions are exact; row 0 is the base, where the totals of processes
 * that have ended are put.
 *
 * A row, little endian:
 *
 *   offset  type  field                                 written by
 *        0  i32   pid of the supervisor whose process   supervisors, by compare-and-exchange:
 *                 has the row; 0: the row is free       two of them share a table in a hand-off
 *        4  i32   pid of that process; 0 until it is    the supervisor that has claimed the row
 *                 forked
 *        8  f64…  the figures                           the process; in the base row all supervisors,
 *                                                       by compare-and-exchange
 */
import type { Segment } from './segment.ts';

/** Before the figures. */
const OWNER_BYTES = 8;

/** @param slots figures in a row */
export function metricsTableSize(rows: number, slots: number): number {
  return rows * (OWNER_BYTES + slots * 8);
}

export class MetricsTable {
  readonly rows: number;
  readonly slots: number;
  readonly #all: Float64Array;
  readonly #bits: BigInt64Array;
  readonly #owners: Int32Array;

  /** @param slots figures in a row; the segment's size tells how many rows there are */
  constructor({ buffer, offset, size }: Segment, slots: number) {
    this.slots = slots;
    this.rows = Math.floor(size / metricsTableSize(1, slots));
    const words = this.rows * (slots + 1);
    this.#all = new Float64Array(buffer, offset, words);
    this.#bits = new BigInt64Array(buffer, offset, words);
    this.#owners = new Int32Array(buffer, offset, words * 2);
  }

  /** @returns `undefined`: every row has a process */
  claim(supervisorPid: number): number | undefined {
    for (let row = 1; row < this.rows; row++) {
      if (Atomics.compareExchange(this.#owners, this.#ownerAt(row), 0, supervisorPid) === 0)
        return row;
    }
    return undefined;
  }

  assign(row: number, pid: number): void {
    Atomics.store(this.#owners, this.#ownerAt(row) + 1, pid);
  }

  /** `undefined`: the row is free. */
  ownerOf(row: number): { readonly supervisorPid: number; readonly pid: number } | undefined {
    const at = this.#ownerAt(row);
    const supervisorPid = Atomics.load(this.#owners, at);
    if (supervisorPid === 0) return undefined;
    return { supervisorPid, pid: Atomics.load(this.#owners, at + 1) };
  }

  /** The figures of a row. */
  rowView(row: number): Float64Array {
    if (row < 0 || row >= this.rows) throw new RangeError(`metrics row ${row} of ${this.rows}`);
    const start = this.#figuresAt(row);
    return this.#all.subarray(start, start + this.slots);
  }

  /** Over all rows, the base included. */
  sum(slot: number): number {
    let total = 0;
    for (let at = this.#figuresAt(0) + slot; at < this.#all.length; at += this.slots + 1)
      total += this.#all[at]!;
    return total;
  }

  /** Adds to a total of the base row. */
  addToBase(slot: number, amount: number): void {
    const at = this.#figuresAt(0) + slot;
    for (;;) {
      const before = Atomics.load(this.#bits, at);
      const after = bitsOf(numberOf(before) + amount);
      if (Atomics.compareExchange(this.#bits, at, before, after) === before) return;
    }
  }

  /**
   * Moves a dead process's totals into the base row and lets its own row go.
   *
   * @param passing slots that say how things are now, and mean nothing after the process
   */
  fold(row: number, passing: ReadonlySet<number>): void {
    const ended = this.rowView(row);
    for (let slot = 0; slot < this.slots; slot++) {
      if (ended[slot] !== 0 && !passing.has(slot)) this.addToBase(slot, ended[slot]!);
    }
    this.release(row);
  }

  /** Empties a row and lets it go; its process has ended. */
  release(row: number): void {
    this.rowView(row).fill(0);
    const at = this.#ownerAt(row);
    Atomics.store(this.#owners, at + 1, 0);
    Atomics.store(this.#owners, at, 0);
  }

  #ownerAt(row: number): number {
    return row * (this.slots + 1) * 2;
  }

  #figuresAt(row: number): number {
    return row * (this.slots + 1) + OWNER_BYTES / 8;
  }
}

const view = new DataView(new ArrayBuffer(8));

function numberOf(bits: bigint): number {
  view.setBigInt64(0, bits);
  return view.getFloat64(0);
}

function bitsOf(number: number): bigint {
  view.setFloat64(0, number);
  return view.getBigInt64(0);
}

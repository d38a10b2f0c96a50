/**
 * Figures of all processes. One row per worker process, written by that process
 * alone, so plain additions are exact; row 0 is the base, where the supervisor
 * puts the totals of processes that have ended. All slots are f64.
 */
import type { Segment } from './segment.ts';

export function metricsTableSize(rows: number, slots: number): number {
  return rows * slots * 8;
}

export class MetricsTable {
  readonly rows: number;
  readonly slots: number;
  readonly #all: Float64Array;

  /** @param slots of a row; the segment's size tells how many rows there are */
  constructor({ buffer, offset, size }: Segment, slots: number) {
    this.rows = Math.floor(size / (slots * 8));
    this.slots = slots;
    this.#all = new Float64Array(buffer, offset, this.rows * slots);
  }

  rowView(row: number): Float64Array {
    if (row < 0 || row >= this.rows) throw new RangeError(`metrics row ${row} of ${this.rows}`);
    return this.#all.subarray(row * this.slots, (row + 1) * this.slots);
  }

  /** Over all rows, the base included. */
  sum(slot: number): number {
    let total = 0;
    for (let at = slot; at < this.#all.length; at += this.slots) total += this.#all[at]!;
    return total;
  }

  /**
   * Moves a dead process's totals into the base row and clears its own.
   *
   * @param passing slots that say how things are now, and mean nothing after the process
   */
  fold(row: number, passing: ReadonlySet<number>): void {
    const base = this.rowView(0);
    const ended = this.rowView(row);
    for (let slot = 0; slot < this.slots; slot++) {
      if (!passing.has(slot)) base[slot]! += ended[slot]!;
      ended[slot] = 0;
    }
  }
}

/**
 * Which peers get no new requests although probes may find them well: those that have
 * failed so often in a row that they are left alone for a while, as seen by the requests
 * of all processes of the host, and those that an operator has drained.
 *
 * 32 bytes a row, of the same rows as the peer table's:
 *
 *   offset  type  field                                     written by
 *        0  i32   failures in a row: no answer, or half a   whoever has sent the request
 *                 one
 *        4  i32   answers of 500 and above in a row         whoever has sent the request
 *        8  i32   ejections that are not forgiven           who ejects
 *       12  i32   1: drained                               the supervisor
 *       16  f64   ejected until, nanoseconds; 0: never      who ejects, after the count
 *       24  8 bytes free
 *
 * Who has raised one of the first two to its bound takes it back to 0 by
 * compare-and-exchange: of several processes that reach the bound, one ejects.
 * One that is killed between the two lets the peer off: it has to fail again.
 */
const ROW_WORDS = 8;
const ROW_DOUBLES = ROW_WORDS / 2;

export const EJECTION_BYTES = ROW_WORDS * 4;

export type Streak = 'failures' | 'errorStatuses';

const STREAKS: Readonly<Record<Streak, number>> = { failures: 0, errorStatuses: 1 };

export interface EjectionTimes {
  /** Of the first ejection; the second one takes twice as long, and so on. */
  readonly baseNs: number;
  readonly maxNs: number;
}

export interface PeerEjectionsPlace {
  readonly buffer: ArrayBufferLike;
  readonly offset: number;
  readonly rows: number;
}

export class PeerEjections {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor({ buffer, offset, rows }: PeerEjectionsPlace) {
    this.#words = new Int32Array(buffer, offset, rows * ROW_WORDS);
    this.#doubles = new Float64Array(buffer, offset, rows * ROW_DOUBLES);
  }

  /**
   * One more in a row.
   *
   * @returns that it is the one that makes `bound`, which begins anew
   */
  lengthen(row: number, streak: Streak, bound: number): boolean {
    const at = row * ROW_WORDS + STREAKS[streak];
    const length = Atomics.add(this.#words, at, 1) + 1;
    return length >= bound && Atomics.compareExchange(this.#words, at, length, 0) === length;
  }

  /** On the way of every request: a row that has nothing to forget is only read. */
  endStreak(row: number, streak: Streak): void {
    const at = row * ROW_WORDS + STREAKS[streak];
    if (this.#words[at] !== 0) Atomics.store(this.#words, at, 0);
  }

  isEjected(row: number, nowNs: number): boolean {
    return this.ejectedUntil(row) > nowNs;
  }

  /** Nanoseconds; 0: it never was. */
  ejectedUntil(row: number): number {
    return this.#doubles[row * ROW_DOUBLES + 2]!;
  }

  /**
   * Leaves the peer alone, longer each time. For every `baseNs` that it was not ejected,
   * one earlier ejection is forgiven.
   *
   * @returns for how many nanoseconds
   */
  eject(row: number, { baseNs, maxNs }: EjectionTimes, nowNs: number): number {
    const at = row * ROW_WORDS + 2;
    const idleNs = Math.max(0, nowNs - this.ejectedUntil(row));
    const before = Atomics.load(this.#words, at);
    const times = Math.max(0, before - Math.floor(idleNs / baseNs)) + 1;
    const durationNs = Math.min(times * baseNs, maxNs);
    Atomics.store(this.#words, at, times);
    this.#doubles[row * ROW_DOUBLES + 2] = nowNs + durationNs;
    return durationNs;
  }

  /** It may be used again, and all is forgiven; what an operator has said stands. */
  readmit(row: number): void {
    this.#words.fill(0, row * ROW_WORDS, row * ROW_WORDS + 3);
    this.#doubles[row * ROW_DOUBLES + 2] = 0;
  }

  /** The row is another peer's now. */
  forget(row: number): void {
    this.#words.fill(0, row * ROW_WORDS, (row + 1) * ROW_WORDS);
  }

  isDrained(row: number): boolean {
    return this.#words[row * ROW_WORDS + 3] === 1;
  }

  setDrained(row: number, isDrained: boolean): void {
    Atomics.store(this.#words, row * ROW_WORDS + 3, isDrained ? 1 : 0);
  }

  /** The peer of that row is known elsewhere to be so. */
  carry(row: number, from: PeerEjections, fromRow: number): void {
    const words = from.#words.subarray(fromRow * ROW_WORDS, (fromRow + 1) * ROW_WORDS);
    this.#words.set(words, row * ROW_WORDS);
  }
}

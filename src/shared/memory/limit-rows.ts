/**
 * The rows of a limit table: which key has which, and what it owes. A bucket has
 * 8 rows of 16 bytes; a key lives in the bucket that its hash names.
 *
 *   offset  type  field                                         written by
 *        0  i32   tag, first half      0, 0: free, in a table   whoever takes a free row, by one
 *        4  i32   tag, second half     that was never full      64-bit compare-and-exchange; then
 *                                      1, 0: vacant             the process that has it sealed
 *        8  i32   tat: low 32 bits of the theoretical arrival   any worker, by compare-and-exchange
 *                 time, in ticks; the owner, of a sealed row
 *       12  i32   epoch in which tat was set, +2; 0: unused;    with tat, by 64-bit compare-and-exchange
 *                 -1: sealed; -2: sealed in vain
 *
 * tat alone would be misread after 2^32 ticks, so the epoch (2^30 ticks) says
 * which turn of the counter it belongs to. A window is at most 2^29 ticks: a tat
 * set in epoch e lies before the end of epoch e+1. Two or more epochs later it
 * is surely in the past, and the row counts as unused; until then its distance
 * from now is below 2^31 in both directions, and the signed difference of 32
 * bits is exact.
 *
 * **A free row** is a valid unused one, so taking it is one exchange of the tag.
 * Everybody tries the free rows in the same order, so no key gets two.
 *
 * **In a full bucket** the row of the key that owes least is given to the new
 * one. Rows and tags do not fit into one exchange, so the row is *sealed* first,
 * by exchanging exactly the debt that was seen: from then on nobody can charge
 * it, and it is its owner's alone, which writes the tag. Before it unseals the
 * row, it looks for others with that tag:
 *
 *   - unsealed: another process was faster. The row goes back to the key it had.
 *   - sealed: another process is at the same point. Its seal is made vain, so that
 *     it cannot unseal the row as it is.
 *
 * Of two that give the same key a row, the one that wrote its tag later sees the
 * other's, and either stops it or is stopped, so no key ever has two rows that
 * can be charged. Nobody waits for an owner: a sealed row is passed over. If its
 * owner has died, the next process that needs a row takes the seal over; the
 * dead write nothing any more.
 */
import { isAlive } from '../process/process-age.ts';
import { MAX_WINDOW_TICKS } from './gcra.ts';
import type { Segment } from './segment.ts';

export const ROWS_PER_BUCKET = 8;
export const ROW_BYTES = 16;
const ROW_WORDS = ROW_BYTES / 4;
const BUCKET_WORDS = ROWS_PER_BUCKET * ROW_WORDS;
const EPOCH_TICKS = MAX_WINDOW_TICKS * 2;

const VACANT = 1n;
const SEALED = -1;
const SEALED_IN_VAIN = -2;

/** By which a key is known: 64 bits of a hash. */
export interface Tag {
  readonly first: number;
  readonly second: number;
}

/** What a row says about its key. */
export interface RowState {
  tat: number;
  epoch: number;
}

export class LimitRows {
  readonly #words: Int32Array;
  /** The same memory: tags at even places, tat and epoch at odd ones. */
  readonly #pairs: BigInt64Array;
  readonly #buckets: number;
  readonly #runs: (pid: number) => boolean;

  /** @param runs whether a process runs; a wrong yes costs a row, a wrong no can cost a count */
  constructor(segment: Segment, runs: (pid: number) => boolean = isAlive) {
    const words = segment.size / 4;
    this.#words = new Int32Array(segment.buffer, segment.offset, words);
    this.#pairs = new BigInt64Array(segment.buffer, segment.offset, words / 2);
    this.#buckets = words / BUCKET_WORDS;
    this.#runs = runs;
  }

  /** @returns `undefined`: the key has no row that could be charged */
  find({ first, second }: Tag): number | undefined {
    const words = this.#words;
    const bucket = this.#bucketOf(second);
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      if (words[row] !== first || words[row + 1] !== second) continue;
      if (Atomics.load(words, row + 3) >= 0) return row;
    }
    return undefined;
  }

  /** @returns whether the row is the key's, and `state` what it says */
  read(row: number, tag: Tag, state: RowState): boolean {
    state.epoch = Atomics.load(this.#words, row + 3);
    state.tat = Atomics.load(this.#words, row + 2);
    // After tat, not before: the row may have been given to another key since it was found.
    return state.epoch >= 0 && this.#belongsTo(row, tag);
  }

  /**
   * The common case is 32 bits wide: only a row that changes its epoch needs both words at once.
   *
   * @returns `false`: somebody changed the row meanwhile, and nothing was written for the key
   */
  write(row: number, tag: Tag, before: RowState, after: RowState): boolean {
    const place = row / 2 + 1;
    if (before.epoch === after.epoch) {
      const { tat } = before;
      if (Atomics.compareExchange(this.#words, row + 2, tat, after.tat) !== tat) return false;
    } else {
      const expected = pairOf(before);
      if (Atomics.compareExchange(this.#pairs, place, expected, pairOf(after)) !== expected)
        return false;
    }
    // Meanwhile the row may have gone to another key that owes exactly as much. Then that one was
    // charged: one request too few for it, in a race of nanoseconds, but never one too many for this.
    return this.#belongsTo(row, tag) && Atomics.load(this.#words, row + 3) >= 0;
  }

  /**
   * Gives the key a row.
   *
   * @param onEvicted a key that still owed something lost its row
   * @returns `undefined`: somebody was faster, look again
   */
  claim(key: Tag, ticks: number, onEvicted: () => void): number | undefined {
    const words = this.#words;
    const bucket = this.#bucketOf(key.second);
    const tag = pair(key.first, key.second);
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      // Once taken, a row is never free again: so only those that look free are worth an exchange.
      const looksFree = words[row] === 0 && words[row + 1] === 0;
      if (looksFree && Atomics.compareExchange(this.#pairs, row / 2, 0n, tag) === 0n) return row;
      // Taken by others, perhaps this moment, and perhaps for the same key.
      if (this.#belongsTo(row, key) && Atomics.load(words, row + 3) >= 0) return row;
    }
    return this.#replaceLeast(bucket, tag, ticks, onEvicted);
  }

  /** Whose rows say that something is owed, and how much. */
  *owing(ticks: number): Generator<{ readonly tag: bigint; readonly owed: number }> {
    const state = { tat: 0, epoch: 0 };
    for (let row = 0; row < this.#words.length; row += ROW_WORDS) {
      const tag = Atomics.load(this.#pairs, row / 2);
      if (tag === 0n || tag === VACANT || !this.read(row, halvesOf(tag), state)) continue;
      const owed = owedIn(state, ticks);
      if (owed > 0) yield { tag, owed };
    }
  }

  /** Before anybody else uses the table. Where a bucket is full, whoever owes least is forgiven. */
  put(tag: bigint, owed: number, ticks: number): void {
    const least = this.#leastOwing(this.#bucketOf(halvesOf(tag).second), ticks);
    if (least === undefined || owed <= least.owed) return;
    this.#pairs[least.row / 2] = tag;
    this.#pairs[least.row / 2 + 1] = pairOf(stateOf(owed, ticks));
  }

  #bucketOf(second: number): number {
    // Both factors are below 2^32 and 2^21, so this is exact, and costs no division.
    return Math.floor((second >>> 0) * this.#buckets * 2 ** -32) * BUCKET_WORDS;
  }

  #belongsTo(row: number, { first, second }: Tag): boolean {
    return (
      Atomics.load(this.#words, row) === first && Atomics.load(this.#words, row + 1) === second
    );
  }

  #replaceLeast(
    bucket: number,
    tag: bigint,
    ticks: number,
    onEvicted: () => void,
  ): number | undefined {
    const least = this.#leastOwing(bucket, ticks);
    if (least === undefined) return undefined;
    const { row, owed, contents, isAbandoned } = least;
    const seal = sealUnlike(contents);
    if (Atomics.compareExchange(this.#pairs, row / 2 + 1, contents, seal) !== contents)
      return undefined;
    // Nobody else writes the tag of a sealed row, so it is this key that owed what was seen.
    const before = isAbandoned ? VACANT : Atomics.load(this.#pairs, row / 2);
    const isNew = before !== tag;
    if (isNew && this.#settle(bucket, { row, tag, seal, contents: unused() })) {
      if (owed > 0) onEvicted();
      return row;
    }
    // Back to the key that had it, unless that has found another row since it was locked out.
    if (!isAbandoned && this.#settle(bucket, { row, tag: before, seal, contents }))
      return undefined;
    this.#vacate(row);
    if (owed > 0) onEvicted();
    return undefined;
  }

  /** @returns `undefined`: all rows are sealed */
  #leastOwing(bucket: number, ticks: number): Candidate | undefined {
    let least: number | undefined;
    let leastOwed = Number.POSITIVE_INFINITY;
    const state = { tat: 0, epoch: 0 };
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      state.epoch = Atomics.load(this.#words, row + 3);
      state.tat = Atomics.load(this.#words, row + 2);
      const owed = state.epoch < 0 ? this.#owedIfSealed(state.tat) : owedIn(state, ticks);
      if (owed >= leastOwed) continue;
      leastOwed = owed;
      least = row;
    }
    if (least === undefined) return undefined;
    const contents = Atomics.load(this.#pairs, least / 2 + 1);
    const { first: tat, second: epoch } = halvesOf(contents);
    const isAbandoned = epoch < 0;
    const owed = isAbandoned ? this.#owedIfSealed(tat) : owedIn({ tat, epoch }, ticks);
    // It spent something meanwhile, so another may owe less.
    return owed > leastOwed ? undefined : { row: least, owed, contents, isAbandoned };
  }

  /** A seal of a process that has died holds nobody's debt; any other keeps its row from being given away. */
  #owedIfSealed(sealed: number): number {
    return this.#runs(sealed >> 1) ? Number.POSITIVE_INFINITY : -1;
  }

  /**
   * Unseals a row of ours for a key.
   *
   * @returns `false`: the key has another row, or somebody is giving it one; the row is still sealed
   */
  #settle(bucket: number, { row, tag, seal, contents }: Settlement): boolean {
    Atomics.store(this.#pairs, row / 2, tag);
    Atomics.store(this.#pairs, row / 2 + 1, seal); // anew: it may have been in vain
    if (!this.#keepOthersFrom(tag, bucket, row)) return false;
    return Atomics.compareExchange(this.#pairs, row / 2 + 1, seal, contents) === seal;
  }

  /** @returns `false`: another row is the key's already */
  #keepOthersFrom(tag: bigint, bucket: number, own: number): boolean {
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      if (row === own || Atomics.load(this.#pairs, row / 2) !== tag) continue;
      const contents = Atomics.load(this.#pairs, row / 2 + 1);
      const { first: owner, second: epoch } = halvesOf(contents);
      if (epoch >= 0) return false;
      const inVain = pair(owner, SEALED_IN_VAIN);
      if (Atomics.compareExchange(this.#pairs, row / 2 + 1, contents, inVain) !== contents)
        return false;
    }
    return true;
  }

  #vacate(row: number): void {
    Atomics.store(this.#pairs, row / 2, VACANT);
    Atomics.store(this.#pairs, row / 2 + 1, unused());
  }
}

interface Candidate {
  readonly row: number;
  readonly owed: number;
  readonly contents: bigint;
  /** Sealed by a process that has died. */
  readonly isAbandoned: boolean;
}

interface Settlement {
  readonly row: number;
  readonly tag: bigint;
  readonly seal: bigint;
  /** What the row says once it is the key's. */
  readonly contents: bigint;
}

/** @returns ticks by which the theoretical arrival time is ahead of now */
export function owedIn({ tat, epoch }: RowState, ticks: number): number {
  if (epochOf(ticks) - epoch >= 2) return 0;
  return Math.max(0, (tat - ticks) | 0);
}

export function stateOf(owed: number, ticks: number): RowState {
  const state = { tat: 0, epoch: 0 };
  setState(state, owed, ticks);
  return state;
}

export function setState(state: RowState, owed: number, ticks: number): void {
  state.tat = (ticks + owed) | 0;
  state.epoch = epochOf(ticks);
}

function epochOf(ticks: number): number {
  return Math.floor(ticks / EPOCH_TICKS) + 2;
}

/** Names its owner, and differs from what users of the row have read last, so that they notice. */
function sealUnlike(contents: bigint): bigint {
  const owner = process.pid << 1;
  return pair(halvesOf(contents).first === owner ? owner | 1 : owner, SEALED);
}

/** Never twice the same: who has read a row before it was given away must not find it unchanged. */
function unused(): bigint {
  return pair(Math.floor(Math.random() * 2 ** 32), 0);
}

/** Two words as the 64 bits they are in memory, little endian. */
function pair(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function pairOf({ tat, epoch }: RowState): bigint {
  return pair(tat, epoch);
}

function halvesOf(bits: bigint): Tag {
  return { first: Number(BigInt.asIntN(32, bits)), second: Number(BigInt.asIntN(32, bits >> 32n)) };
}

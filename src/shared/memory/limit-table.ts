/**
 * One limit for all processes of the host: what each key has used, in rows of
 * shared memory (`limit-rows.ts`), by the rule of `gcra.ts`. Exact: of requests
 * that come at once, each sees what those before it have spent, whichever
 * process they went to.
 */
import { Gcra, type LimitPolicy } from './gcra.ts';
import { HalfSipHash } from './half-sip-hash.ts';
import {
  LimitRows,
  owedIn,
  ROW_BYTES,
  ROWS_PER_BUCKET,
  setState,
  type RowState,
} from './limit-rows.ts';
import type { Clock } from '../time/clock.ts';
import { evictionsOf, refusalsOf, seedOf, type Segment, type SegmentSpec } from './segment.ts';

/** Of the rows, and of what their tags are hashes by. */
const LAYOUT = 2;

/** Others may win every race for a while; that many in a row means that something is broken. */
const MAX_TRIES = 10_000;

/** What a limiter needs. */
export interface LimitSpec extends SegmentSpec {
  readonly policy: LimitPolicy;
}

const SEGMENT_PREFIX = 'limit:';

/** @param maxKeys that can be told apart at a time */
export function limitSpec(name: string, maxKeys: number, policy: LimitPolicy): LimitSpec {
  const { count, perMs, burst } = policy;
  // With another rate the ticks of the rows would be misread.
  const contents = JSON.stringify({ limit: { count, perMs, burst } });
  const size = limitTableSize(maxKeys);
  return { name: SEGMENT_PREFIX + name, layout: LAYOUT, size, contents, policy };
}

/** `undefined`: the segment is no limit's. */
export function policyIn({ contents = '{}' }: SegmentSpec): LimitPolicy | undefined {
  return (JSON.parse(contents) as { limit?: LimitPolicy }).limit;
}

/** What a key has used and not earned back. */
export interface Debt {
  readonly tag: bigint;
  /** Not always whole. */
  readonly requests: number;
}

/**
 * Fills a table that nobody uses yet. Requests that a worker of the old table
 * admits from now on are not known to the new one: as long as both are used, a
 * key may get as much from each.
 *
 * A table of another layout has nothing to give: its tags are hashes of another
 * kind, so nobody can say whose they are. Its keys begin anew.
 *
 * @param to has the seed of the old one: the tags of keys are hashes with it
 */
export function carryLimits(
  from: Segment,
  oldPolicy: LimitPolicy,
  to: Segment,
  newPolicy: LimitPolicy,
  nowNs: number,
): void {
  if (from.layout !== to.layout) return;
  Atomics.store(refusalsOf(to), 0, Atomics.load(refusalsOf(from), 0));
  const old = new LimitTable(from, oldPolicy);
  const filled = new LimitTable(to, newPolicy);
  for (const debt of old.debts(nowNs)) filled.owe(debt, nowNs);
}

/**
 * Bytes for that many keys, in whole buckets. Even if all of them owe something
 * at the same time, of 1,000 keys 16 meet a full bucket; if half of them do, 1 of 3,000.
 */
export function limitTableSize(maxKeys: number): number {
  return Math.ceil((maxKeys * ROWS_PER_KEY) / ROWS_PER_BUCKET) * ROWS_PER_BUCKET * ROW_BYTES;
}

/** Memory against crowded buckets: 28 bytes for a key. */
const ROWS_PER_KEY = 1.75;

/** What a limit has come to, since it is kept. */
export interface LimitCounts {
  /** Of the limit, as its limiter has it. */
  readonly name: string;
  /** How often a key that still owed something lost its row: the table is too small. */
  readonly evictions: number;
  readonly refusals: number;
}

export function limitCounts(segment: Segment): LimitCounts {
  return {
    name: segment.name.slice(SEGMENT_PREFIX.length),
    evictions: Atomics.load(evictionsOf(segment), 0) >>> 0,
    refusals: Atomics.load(refusalsOf(segment), 0) >>> 0,
  };
}

export class LimitTable {
  /** Of the last `take`: how long until it would be allowed; 0 if it was, infinite if it never will be. */
  waitMs = 0;
  /** Of the last `take`: how many more would be allowed at once. */
  remaining = 0;
  /** Of the last `take`: how long until the key owes nothing any more. */
  resetMs = 0;
  readonly #gcra: Gcra;
  readonly #rows: LimitRows;
  readonly #hash: HalfSipHash;
  readonly #before = { tat: 0, epoch: 0 };
  readonly #after = { tat: 0, epoch: 0 };
  readonly #refusals: Int32Array;
  readonly #onEvicted: () => void;

  constructor(segment: Segment, policy: LimitPolicy) {
    this.#gcra = new Gcra(policy);
    this.#rows = new LimitRows(segment);
    this.#hash = new HalfSipHash(seedOf(segment));
    this.#refusals = refusalsOf(segment);
    const evictions = evictionsOf(segment);
    this.#onEvicted = () => Atomics.add(evictions, 0, 1);
  }

  /**
   * Spends `cost` of the key's allowance, if it has that much.
   *
   * @param nowNs of the clock that all users of the table share
   * @param cost 0 or more; 0 tells how things stand
   * @returns whether it had; `waitMs`, `remaining` and `resetMs` tell more
   */
  take(key: string, nowNs: number, cost = 1): boolean {
    const rows = this.#rows;
    const tag = this.#hash;
    tag.update(key);
    const ticks = this.#gcra.ticksAt(nowNs);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const row = rows.find(tag) ?? rows.claim(tag, ticks, this.#onEvicted);
      if (row === undefined || !rows.read(row, tag, this.#before)) continue;
      const owed = owedIn(this.#before, ticks);
      const after = owed + this.#gcra.ticksFor(cost);
      const excess = this.#gcra.excess(after);
      if (excess > 0) return this.#refuse(owed, excess, cost);
      if (!rows.write(row, tag, this.#before, this.#stateAfter(after, ticks))) continue;
      this.#says(after, 0);
      return true;
    }
    throw new Error('a row of the limit table never settled');
  }

  /**
   * Gives back what `take` has spent, except for what time has earned back since:
   * for that part others may have been admitted already. So giving back never
   * makes the limit admit more.
   *
   * @param takenNs when it was taken
   * @param clock the one that all users of the table share
   */
  giveBack(key: string, cost: number, takenNs: number, clock: Clock): void {
    const rows = this.#rows;
    const tag = this.#hash;
    tag.update(key);
    const taken = this.#gcra.ticksAt(takenNs);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const row = rows.find(tag);
      if (row === undefined) return; // evicted: nothing is owed
      if (!rows.read(row, tag, this.#before)) continue;
      // After the row was read: so whoever is charged in it looked at the clock before.
      const ticks = this.#gcra.ticksAt(clock());
      const back = this.#gcra.ticksFor(cost) - (ticks - taken);
      if (back <= 0) return;
      const owed = Math.max(0, owedIn(this.#before, ticks) - back);
      if (rows.write(row, tag, this.#before, this.#stateAfter(owed, ticks))) return;
    }
  }

  /** What keys owe, for a table with another policy or size. */
  *debts(nowNs: number): Generator<Debt> {
    for (const { tag, owed } of this.#rows.owing(this.#gcra.ticksAt(nowNs)))
      yield { tag, requests: this.#gcra.requestsIn(owed) };
  }

  /** Before anybody else uses the table: a key owes so much from the start. */
  owe({ tag, requests }: Debt, nowNs: number): void {
    const owed = this.#gcra.ticksFor(Math.min(requests, this.#gcra.burst));
    this.#rows.put(tag, owed, this.#gcra.ticksAt(nowNs));
  }

  /** The same object each time: a check makes none. */
  #stateAfter(owed: number, ticks: number): RowState {
    setState(this.#after, owed, ticks);
    return this.#after;
  }

  #refuse(owed: number, excess: number, cost: number): false {
    Atomics.add(this.#refusals, 0, 1);
    this.#says(owed, cost > this.#gcra.burst ? Number.POSITIVE_INFINITY : this.#gcra.msIn(excess));
    return false;
  }

  #says(owed: number, waitMs: number): void {
    this.waitMs = waitMs;
    this.remaining = this.#gcra.remaining(owed);
    this.resetMs = this.#gcra.msIn(owed);
  }
}

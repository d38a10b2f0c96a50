/**
 * GCRA rows: what each key of one limit has used, one timestamp per key, moved
 * by one compare-and-exchange, exact over all processes of the host.
 *
 * Time is counted in ticks: `k` of them per emission interval (the time after
 * which one more request is earned), so a rate such as 3 per second is exact.
 * A bucket has 8 rows of 16 bytes; a key lives in the bucket its hash names:
 *
 *   offset  type  field                                         written by
 *        0  i32   tag, first half     ┐ 0, 0 marks a free row   whoever claims it, by one 64-bit
 *        4  i32   tag, second half    ┘                         compare-and-exchange
 *        8  i32   tat: low 32 bits of the theoretical arrival   any worker, by compare-and-exchange
 *                 time, in ticks
 *       12  i32   epoch in which tat was set, +2; 0: never      with tat, by 64-bit compare-and-exchange
 *
 * tat alone would be misread after 2^32 ticks, so the epoch (2^30 ticks) says
 * which turn of the counter it belongs to. A window is at most 2^29 ticks:
 * a tat set in epoch e lies before the end of epoch e+1. Two or more epochs
 * later it is surely in the past, and the row counts as unused; until then its
 * distance from now is below 2^31 in both directions, and the signed difference
 * of 32 bits is exact.
 *
 * A zeroed row is a valid unused one, so claiming a row is one exchange of the
 * tag, and no reader can see it half made. A row is taken from its key only
 * when the bucket is full: first the expired ones, else the one that owes least.
 */
import { hash32 } from './hash.ts';
import { evictionsOf, seedOf, type Segment, type SegmentSpec } from './segment.ts';

const ROWS_PER_BUCKET = 8;
const ROW_WORDS = 4;
const BUCKET_WORDS = ROWS_PER_BUCKET * ROW_WORDS;
const EPOCH_TICKS = 2 ** 30;
const MAX_WINDOW_TICKS = 2 ** 29;
const EVICTING = -1;

/** Others may win every race for a while; that many in a row means that something is broken. */
const MAX_TRIES = 10_000;

export interface LimitPolicy {
  /** So many requests per `perMs` … */
  readonly count: number;
  readonly perMs: number;
  /** … and this many at once. */
  readonly burst: number;
}

/** What a limiter needs. */
export interface LimitSpec extends SegmentSpec {
  readonly policy: LimitPolicy;
}

/** @param maxKeys that can be told apart at a time */
export function limitSpec(name: string, maxKeys: number, policy: LimitPolicy): LimitSpec {
  const { count, perMs, burst } = policy;
  // With another rate the ticks of the rows would be misread.
  const contents = JSON.stringify({ limit: { count, perMs, burst } });
  return { name, layout: 1, size: limitTableSize(maxKeys), contents, policy };
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
 * @param to has the seed of the old one: the tags of keys are hashes with it
 */
export function carryLimits(
  from: Segment,
  oldPolicy: LimitPolicy,
  to: Segment,
  newPolicy: LimitPolicy,
  nowNs: number,
): void {
  const old = new LimitTable(from, oldPolicy);
  const filled = new LimitTable(to, newPolicy);
  for (const debt of old.debts(nowNs)) filled.owe(debt, nowNs);
}

/** Bytes for that many keys: half as many again, so that full buckets are rare. */
export function limitTableSize(maxKeys: number): number {
  return bucketsFor(maxKeys) * BUCKET_WORDS * 4;
}

function bucketsFor(maxKeys: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, (maxKeys * 1.5) / ROWS_PER_BUCKET)));
}

/** How often a key that still owed something lost its row: the table is too small. */
export function limitEvictions(segment: Segment): number {
  return Atomics.load(evictionsOf(segment), 0);
}

export class LimitTable {
  /** Of the last `take`: how long until it would be allowed; 0 if it was. */
  waitMs = 0;
  /** Of the last `take`: how many more would be allowed at once. */
  remaining = 0;
  readonly #words: Int32Array;
  readonly #pairs: BigInt64Array;
  readonly #bucketMask: number;
  readonly #seed: readonly [number, number];
  readonly #evictions: Int32Array;
  readonly #burst: number;
  readonly #ticksPerRequest: number;
  readonly #nsPerTick: number;

  constructor(segment: Segment, { count, perMs, burst }: LimitPolicy) {
    const words = segment.size / 4;
    this.#words = new Int32Array(segment.buffer, segment.offset, words);
    this.#pairs = new BigInt64Array(segment.buffer, segment.offset, words / 2);
    this.#bucketMask = words / BUCKET_WORDS - 1;
    this.#seed = seedOf(segment);
    this.#evictions = evictionsOf(segment);
    this.#burst = burst;
    const intervalNs = (perMs * 1e6) / count;
    // As fine as the window allows, but not below a microsecond, which no clock of a request resolves.
    const finest = Math.floor(MAX_WINDOW_TICKS / (burst + 1));
    // Two at least: one would be as much as the tolerance in `#spend`, and a burst of 20 would admit 21.
    this.#ticksPerRequest = Math.max(2, Math.min(finest, Math.ceil(intervalNs / 1_000)));
    this.#nsPerTick = intervalNs / this.#ticksPerRequest;
  }

  /**
   * Spends `cost` of the key's allowance, if it has that much.
   *
   * @param nowNs of the clock that all users of the table share
   * @returns whether it had; `waitMs` and `remaining` tell more
   */
  take(key: string, nowNs: number, cost = 1): boolean {
    const first = hash32(key, this.#seed[0]) | 1; // never 0, which marks a free row
    const second = hash32(key, this.#seed[1]);
    const ticks = Math.floor(nowNs / this.#nsPerTick);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const row = this.#find(first, second) ?? this.#claim(first, second, ticks);
      if (row === undefined) continue;
      const verdict = this.#spend(row, first, second, ticks, cost);
      if (verdict !== undefined) return verdict;
    }
    throw new Error('a row of the limit table never settled');
  }

  /** What keys owe, for a table with another policy or size. */
  *debts(nowNs: number): Generator<Debt> {
    const ticks = Math.floor(nowNs / this.#nsPerTick);
    for (let row = 0; row < this.#words.length; row += ROW_WORDS) {
      const owed = this.#owed(row, ticks);
      if (owed <= 0) continue;
      const tag = Atomics.load(this.#pairs, row / 2);
      if (tag !== 0n) yield { tag, requests: owed / this.#ticksPerRequest };
    }
  }

  /**
   * Before anybody else uses the table: a key owes so much from the start. Where a
   * bucket is full, whoever owes least is forgiven.
   */
  owe({ tag, requests }: Debt, nowNs: number): void {
    const ticks = Math.floor(nowNs / this.#nsPerTick);
    const owed = Math.round(Math.min(requests, this.#burst) * this.#ticksPerRequest);
    const bucket = this.#bucketOf(Number(BigInt.asIntN(32, tag)));
    const row = this.#leastOwing(bucket, ticks);
    if (owed <= this.#owed(row, ticks)) return;
    this.#pairs[row / 2] = tag;
    this.#pairs[row / 2 + 1] = pair((ticks + owed) | 0, epochOf(ticks));
  }

  #bucketOf(first: number): number {
    return ((first >>> 1) & this.#bucketMask) * BUCKET_WORDS;
  }

  #find(first: number, second: number): number | undefined {
    const bucket = this.#bucketOf(first);
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      if (this.#words[row] !== first || this.#words[row + 1] !== second) continue;
      if (Atomics.load(this.#words, row + 3) !== EVICTING) return row;
    }
    return undefined;
  }

  /** @returns `undefined`: somebody changed the row meanwhile, look again */
  #spend(
    row: number,
    first: number,
    second: number,
    ticks: number,
    cost: number,
  ): boolean | undefined {
    const words = this.#words;
    const epoch = epochOf(ticks);
    const rowEpoch = Atomics.load(words, row + 3);
    const tat = Atomics.load(words, row + 2);
    if (rowEpoch === EVICTING) return undefined;
    // After tat, not before: the row may have been given to another key since it was found.
    if (Atomics.load(words, row) !== first || Atomics.load(words, row + 1) !== second)
      return undefined;
    const now = ticks | 0;
    const ahead = epoch - rowEpoch >= 2 ? 0 : Math.max(0, (tat - now) | 0);
    const k = this.#ticksPerRequest;
    const after = ahead + cost * k;
    // One tick more: a client at exactly the allowed rate must not fail by a rounded-down clock.
    const over = after - this.#burst * k - 1;
    if (over > 0) {
      this.waitMs = (over * this.#nsPerTick) / 1e6;
      this.remaining = Math.max(0, Math.floor((this.#burst * k - ahead) / k));
      return false;
    }
    const next = (now + after) | 0;
    if (!this.#store(row, tat, rowEpoch, next, epoch)) return undefined;
    this.waitMs = 0;
    this.remaining = Math.max(0, Math.floor((this.#burst * k - after) / k));
    return true;
  }

  /** The common case is 32 bits wide: only a row that changes its epoch needs both words at once. */
  #store(row: number, tat: number, rowEpoch: number, next: number, epoch: number): boolean {
    if (rowEpoch === epoch) return Atomics.compareExchange(this.#words, row + 2, tat, next) === tat;
    const before = pair(tat, rowEpoch);
    return Atomics.compareExchange(this.#pairs, row / 2 + 1, before, pair(next, epoch)) === before;
  }

  /** @returns `undefined`: somebody was faster, look again */
  #claim(first: number, second: number, ticks: number): number | undefined {
    const bucket = this.#bucketOf(first);
    const tag = pair(first, second);
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      // Everybody tries the same free row first, so a key cannot be given two.
      const found = Atomics.compareExchange(this.#pairs, row / 2, 0n, tag);
      if (found !== 0n && found !== tag) continue;
      // Ours, but marked: whoever was taking it from us may be dead, so nobody may wait for that.
      return this.#usable(row) ?? this.#evict(bucket, tag, ticks);
    }
    return this.#evict(bucket, tag, ticks);
  }

  #usable(row: number): number | undefined {
    return Atomics.load(this.#words, row + 3) === EVICTING ? undefined : row;
  }

  #evict(bucket: number, tag: bigint, ticks: number): number | undefined {
    const row = this.#leastOwing(bucket, ticks);
    const oldTag = Atomics.load(this.#pairs, row / 2);
    const spent = Atomics.load(this.#pairs, row / 2 + 1);
    const tat = Number(BigInt.asIntN(32, spent));
    const owes = this.#owed(row, ticks) > 0;
    // First the mark: it differs from what every user of the row has read, so none of them can
    // charge the old key's request to the new one. A process that dies here leaves the mark, and
    // the next one that needs the row goes on from it.
    const marked = pair(tat ^ 0x80000000, EVICTING);
    if (Atomics.load(this.#words, row + 3) !== EVICTING) {
      if (Atomics.compareExchange(this.#pairs, row / 2 + 1, spent, marked) !== spent)
        return undefined;
    }
    const mark = Atomics.load(this.#pairs, row / 2 + 1);
    if (Atomics.compareExchange(this.#pairs, row / 2, oldTag, tag) !== oldTag) return undefined;
    Atomics.compareExchange(this.#pairs, row / 2 + 1, mark, 0n);
    if (owes) Atomics.add(this.#evictions, 0, 1);
    return this.#usable(row);
  }

  #leastOwing(bucket: number, ticks: number): number {
    let least = bucket;
    let leastOwed = Number.POSITIVE_INFINITY;
    for (let row = bucket; row < bucket + BUCKET_WORDS; row += ROW_WORDS) {
      const owed = this.#owed(row, ticks);
      if (owed >= leastOwed) continue;
      leastOwed = owed;
      least = row;
    }
    return least;
  }

  #owed(row: number, ticks: number): number {
    const epoch = Atomics.load(this.#words, row + 3);
    if (epoch === EVICTING) return -1; // left behind by a process that died: the first to take
    if (epochOf(ticks) - epoch >= 2) return 0;
    return Math.max(0, (Atomics.load(this.#words, row + 2) - ticks) | 0);
  }
}

function epochOf(ticks: number): number {
  return Math.floor(ticks / EPOCH_TICKS) + 2;
}

/** Two words as the 64 bits they are in memory, little endian. */
function pair(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

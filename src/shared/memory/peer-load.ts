/**
 * How busy and how fast the peers are, over all processes of the host.
 *
 * Each process has a column and counts its requests there, in the rows of the
 * peers. Nobody else writes to it, so no count is lost; what a peer has in flight
 * is the sum of its row. When a process ends in the middle of its requests,
 * whoever notices empties its column: its share is gone, and nobody else's.
 *
 *   offset  type            field                              written by
 *        0  i32             columns that were ever claimed;    whoever claims a column,
 *                           rises only                         by compare-and-exchange
 *        8  56 bytes free
 *       64  i32×2 a column  its process: pid, ticks at its     the process itself, once, by one
 *                           start; 0, 0: free; a negative pid: 64-bit compare-and-exchange;
 *                           that process empties it            then whoever empties it, alike
 *       ..  i32 a cell,     requests under way of that row     the process of the column
 *           row by row      and column
 *       ..  16 bytes a row  f64 the latency's time,            any process; the latency
 *                           nanoseconds; i32 peak of the       by compare-and-exchange
 *                           mean latency, µs, 0: unknown;
 *                           4 bytes free
 *
 * The time of a latency is written after it. A process that is killed between
 * the two, or two that write at once, leave one that is a little too old: then the
 * next sample counts for more than it should, and that is all.
 */
import { isRunning, processId, type ProcessId } from '../process/process-age.ts';

/** Cells of a row in one cache line. */
const CELLS_PER_LINE = 16;
const HEADER_BYTES = 64;
const OWNER_BYTES = 8;
const LATENCY_BYTES = 16;

/**
 * After so long without a sample, a latency is worth a third of what it was: as long as
 * a peer that was slow is avoided, more or less, before requests find out how it is now.
 */
export const LATENCY_DECAY_NS = 10e9;

const MAX_LATENCY_US = 2 ** 31 - 1;

export function peerLoadSize(rows: number, processes: number): number {
  const columns = Math.ceil(processes / CELLS_PER_LINE) * CELLS_PER_LINE;
  return HEADER_BYTES + columns * OWNER_BYTES + rows * (columns * 4 + LATENCY_BYTES);
}

/** For one peer and this process alone: where there is no row for it. */
export function ownPeerLoad(): PeerLoad {
  const size = peerLoadSize(1, 1);
  const load = new PeerLoad({ buffer: new ArrayBuffer(size), offset: 0, size, rows: 1 });
  load.join({ pid: process.pid, since: 0 });
  return load;
}

export interface PeerLoadPlace {
  readonly buffer: ArrayBufferLike;
  readonly offset: number;
  /** Bytes; as many columns as they have room for. */
  readonly size: number;
  readonly rows: number;
}

export class PeerLoad {
  readonly #rows: number;
  readonly #columns: number;
  readonly #claimed: Int32Array;
  readonly #owners: BigInt64Array;
  readonly #cells: Int32Array;
  /** Two doubles a row: the time, and what the latency is in. */
  readonly #times: Float64Array;
  /** Four words a row, of which the third is the latency. */
  readonly #latencies: Int32Array;
  /** Of this process; -1 until it joins. */
  #own = -1;
  /** By row: which peer has it now, for this process alone. */
  readonly #tenants: Uint32Array;

  constructor({ buffer, offset, size, rows }: PeerLoadPlace) {
    const columns = (size - HEADER_BYTES - rows * LATENCY_BYTES) / (OWNER_BYTES + rows * 4);
    const cellsAt = offset + HEADER_BYTES + columns * OWNER_BYTES;
    const latenciesAt = cellsAt + rows * columns * 4;
    this.#rows = rows;
    this.#columns = columns;
    this.#claimed = new Int32Array(buffer, offset, 1);
    this.#owners = new BigInt64Array(buffer, offset + HEADER_BYTES, columns);
    this.#cells = new Int32Array(buffer, cellsAt, rows * columns);
    this.#times = new Float64Array(buffer, latenciesAt, rows * 2);
    this.#latencies = new Int32Array(buffer, latenciesAt, rows * 4);
    this.#tenants = new Uint32Array(rows);
  }

  /**
   * Takes a column for this process, before it sends requests to peers.
   *
   * @throws {Error} more processes are alive than a fleet can have
   */
  join(self: ProcessId = processId(process.pid)): void {
    for (let column = 0; column < this.#columns; column++) {
      if (Atomics.compareExchange(this.#owners, column, 0n, keyOf(self)) !== 0n) continue;
      this.#noteClaimed(column + 1);
      this.#own = column;
      return;
    }
    throw new Error(
      'no free column in the peer table: older workers have not ended yet; try again when they have (see: sluice status)',
    );
  }

  /** A request of this process goes to the peer. */
  begin(row: number): void {
    if (this.#own < 0) throw new Error('join() comes before begin()');
    this.#cells[row * this.#columns + this.#own]! += 1;
  }

  /** It is over. */
  end(row: number): void {
    this.#cells[row * this.#columns + this.#own]! -= 1;
  }

  /** Another number after each `vacate`: what began under one of them may not end under the next. */
  tenant(row: number): number {
    return this.#tenants[row]!;
  }

  /** The peer has gone: what this process has under way to it does not count for the next one in its row. */
  vacate(row: number): void {
    this.#tenants[row]! += 1;
    if (this.#own >= 0) this.#cells[row * this.#columns + this.#own] = 0;
  }

  /** Requests under way to the peer, of all processes. */
  inFlight(row: number): number {
    const cells = this.#cells;
    const first = row * this.#columns;
    const end = first + this.#claimed[0]!;
    let sum = 0;
    for (let at = first; at < end; at++) sum += cells[at]!;
    return sum;
  }

  /**
   * The peer took so long: a mean that forgets, but that one slow sample lifts at once.
   * So a peer that begins to be slow is avoided from the first slow answer on.
   */
  took(row: number, us: number, nowNs: number): void {
    this.#sample(row, (before) => {
      if (us >= before) return us;
      const kept = this.#shareLeft(row, nowNs);
      return before * kept + us * (1 - kept);
    });
    this.#times[row * 2] = nowNs;
  }

  /** The peer took so long and has not answered: it may be slower than known, but is surely not faster. */
  tookAtLeast(row: number, us: number, nowNs: number): void {
    if (us < this.latencyUs(row, nowNs)) return;
    this.#sample(row, (before) => Math.max(us, before));
    this.#times[row * 2] = nowNs;
  }

  /** Microseconds; fades while nobody asks the peer, and is 0 if nothing is known. */
  latencyUs(row: number, nowNs: number): number {
    const known = this.#latencies[row * 4 + 2]!;
    return known === 0 ? 0 : known * this.#shareLeft(row, nowNs);
  }

  /** The row is another peer's from now on. */
  forgetLatency(row: number): void {
    Atomics.store(this.#latencies, row * 4 + 2, 0);
  }

  /** @param isUsed whether the row has a peer; only those have cells that may not be 0 */
  reap(isUsed: (row: number) => boolean, self: ProcessId = processId(process.pid)): void {
    const mark = keyOf({ ...self, pid: -self.pid });
    for (let column = 0; column < this.#columns; column++) {
      const owner = Atomics.load(this.#owners, column);
      if (owner === 0n || isRunning(ownerOf(owner))) continue;
      // Two that find the same dead process do not both empty its column: the second one
      // could do so when it has a new owner already.
      if (Atomics.compareExchange(this.#owners, column, owner, mark) !== owner) continue;
      this.#empty(column, isUsed);
      Atomics.store(this.#owners, column, 0n);
    }
  }

  #empty(column: number, isUsed: (row: number) => boolean): void {
    for (let row = 0; row < this.#rows; row++) {
      if (isUsed(row)) Atomics.store(this.#cells, row * this.#columns + column, 0);
    }
  }

  #noteClaimed(columns: number): void {
    for (;;) {
      const before = Atomics.load(this.#claimed, 0);
      if (before >= columns) return;
      if (Atomics.compareExchange(this.#claimed, 0, before, columns) === before) return;
    }
  }

  #sample(row: number, next: (before: number) => number): void {
    const at = row * 4 + 2;
    for (;;) {
      const before = Atomics.load(this.#latencies, at);
      const after = Math.min(Math.max(1, Math.round(next(before))), MAX_LATENCY_US);
      if (Atomics.compareExchange(this.#latencies, at, before, after) === before) return;
    }
  }

  #shareLeft(row: number, nowNs: number): number {
    // Another process may have looked at the clock later and written sooner.
    const elapsedNs = Math.max(0, nowNs - this.#times[row * 2]!);
    return Math.exp(-elapsedNs / LATENCY_DECAY_NS);
  }
}

function keyOf({ pid, since }: ProcessId): bigint {
  return BigInt.asIntN(64, (BigInt(since) << 32n) | BigInt.asUintN(32, BigInt(pid)));
}

/** Also of one that empties the column. */
function ownerOf(key: bigint): ProcessId {
  return { pid: Math.abs(Number(BigInt.asIntN(32, key))), since: Number(key >> 32n) };
}

/**
 * What every process of the host knows about the peers. One row per peer, found
 * by the hash of its upstream's name and its address.
 *
 * A row is 32 bytes, little endian:
 *
 *   offset  type   field                                   written by
 *        0  i32×2  hash; 0, 0 marks a free row             the whoever asks first, once,
 *                                                           by one 64-bit compare-and-exchange
 *        8  i32    verdict: 0 unknown, 1 healthy, 2 ill    the worker that has the duty to probe
 *       12  i32    free
 *       16  f64    verdict given at, nanoseconds           the prober, before the verdict
 *       24  f64    well again since, nanoseconds; 0 if     the prober, before the verdict
 *                  it was never ill
 *
 * Behind the rows stands which peers are left alone (`peer-ejections.ts`), and behind that how
 * busy they are (`peer-load.ts`).
 */
import { hash32 } from './hash.ts';
import { EJECTION_BYTES, PeerEjections } from './peer-ejections.ts';
import { PeerLoad, peerLoadSize } from './peer-load.ts';
import { seedOf, type Segment } from './segment.ts';

const ROWS = 4_096;
const ROW_WORDS = 8;

export type Verdict = 'unknown' | 'healthy' | 'ill';

/** Of a peer that came when the table was full: its verdict is unknown, and stays it. */
export const NO_ROW = -1;

/** The verdict of probes, what requests have shown, and what an operator has said. */
export type Standing = Verdict | 'ejected' | 'drained';

const VERDICTS: readonly Verdict[] = ['unknown', 'healthy', 'ill'];

const ROWS_BYTES = ROWS * ROW_WORDS * 4;
const LOAD_AT = ROWS_BYTES + ROWS * EJECTION_BYTES;

/** @param processes that may be alive at a time and send requests to peers */
export function peerTableSize(processes: number): number {
  return LOAD_AT + peerLoadSize(ROWS, processes);
}

/** Rows are never freed: peers that are gone keep theirs. */
export class PeerTableFull extends Error {
  override readonly name = 'PeerTableFull';
}

/**
 * Peers that have a row in both tables are known to be as well in the second one, and left alone as long.
 *
 * @param to has the seed of the first one, and nobody gives verdicts there yet
 */
export function carryVerdicts(from: Segment, to: Segment): void {
  const [old, filled] = [
    new Int32Array(from.buffer, from.offset),
    new Int32Array(to.buffer, to.offset),
  ];
  const rowsOf = (words: Int32Array) =>
    new Map(
      Array.from({ length: ROWS }, (_, row) => row * ROW_WORDS)
        .filter((at) => words[at] !== 0)
        .map((at) => [`${words[at]} ${words[at + 1]}`, at]),
    );
  const known = rowsOf(old);
  const [ejected, carried] = [ejectionsOf(from), ejectionsOf(to)];
  for (const [tag, at] of rowsOf(filled)) {
    const there = known.get(tag);
    if (there === undefined) continue;
    filled.set(old.subarray(there + 2, there + ROW_WORDS), at + 2);
    carried.carry(at / ROW_WORDS, ejected, there / ROW_WORDS);
  }
}

function ejectionsOf({ buffer, offset }: Segment): PeerEjections {
  return new PeerEjections({ buffer, offset: offset + ROWS_BYTES, rows: ROWS });
}

export class PeerTable {
  /** Which peers are left alone, by their rows. */
  readonly ejections: PeerEjections;
  /** How busy and how fast the peers are, by their rows. */
  readonly load: PeerLoad;
  readonly #words: Int32Array;
  readonly #pairs: BigInt64Array;
  readonly #doubles: Float64Array;
  readonly #seed: readonly [number, number];

  constructor(segment: Segment) {
    this.#words = new Int32Array(segment.buffer, segment.offset, ROWS * ROW_WORDS);
    this.#pairs = new BigInt64Array(segment.buffer, segment.offset, (ROWS * ROW_WORDS) / 2);
    this.#doubles = new Float64Array(segment.buffer, segment.offset, (ROWS * ROW_WORDS) / 2);
    this.#seed = seedOf(segment);
    this.ejections = ejectionsOf(segment);
    this.load = new PeerLoad({
      buffer: segment.buffer,
      offset: segment.offset + LOAD_AT,
      size: segment.size - LOAD_AT,
      rows: ROWS,
    });
  }

  /** Gives back what processes that have ended had under way. Any process may, at any time. */
  reap(): void {
    this.load.reap((row) => Atomics.load(this.#words, row * ROW_WORDS) !== 0);
  }

  /**
   * The peer's row; claimed if it has none yet.
   *
   * @throws {PeerTableFull} there is no row left
   */
  row(upstream: string, address: string): number {
    const key = `${upstream}\0${address}`;
    const first = hash32(key, this.#seed[0]) | 1; // never 0, which marks a free row
    const second = hash32(key, this.#seed[1]);
    const tag = (BigInt(second) << 32n) | BigInt(first >>> 0);
    for (let probe = 0; probe < ROWS; probe++) {
      const row = ((first >>> 1) + probe) % ROWS;
      // Both halves at once: a row with one of them would look like another peer's.
      const found = Atomics.compareExchange(this.#pairs, (row * ROW_WORDS) / 2, 0n, tag);
      if (found === 0n || found === tag) return row;
    }
    throw new PeerTableFull(`more than ${ROWS} peers: the peer table is full`);
  }

  /** As `row`; `NO_ROW` where the table is full. */
  rowOrNone(upstream: string, address: string): number {
    try {
      return this.row(upstream, address);
    } catch (thrown) {
      if (thrown instanceof PeerTableFull) return NO_ROW;
      throw thrown;
    }
  }

  verdict(row: number): Verdict {
    if (row === NO_ROW) return 'unknown';
    return VERDICTS[Atomics.load(this.#words, row * ROW_WORDS + 2)] ?? 'unknown';
  }

  /** Nanoseconds; 0: it never was. */
  ejectedUntil(row: number): number {
    return row === NO_ROW ? 0 : this.ejections.ejectedUntil(row);
  }

  /** Gets no new requests, because an operator has said so. */
  isDrained(row: number): boolean {
    return row !== NO_ROW && this.ejections.isDrained(row);
  }

  standing(row: number, nowNs: number): Standing {
    const verdict = this.verdict(row);
    if (this.isDrained(row)) return 'drained';
    return verdict !== 'ill' && this.ejectedUntil(row) > nowNs ? 'ejected' : verdict;
  }

  /** Only the prober calls this. */
  setVerdict(row: number, verdict: Verdict, nowNs: number): void {
    if (row === NO_ROW) return;
    const isRecovery = verdict === 'healthy' && this.verdict(row) === 'ill';
    if (isRecovery) {
      this.#doubles[(row * ROW_WORDS) / 2 + 3] = nowNs;
      // What it failed at was its illness.
      this.ejections.readmit(row);
    }
    this.#doubles[(row * ROW_WORDS) / 2 + 2] = nowNs;
    Atomics.store(this.#words, row * ROW_WORDS + 2, VERDICTS.indexOf(verdict));
  }

  /** The row is another peer's from now on. Only the prober calls this. */
  forgetVerdict(row: number): void {
    if (row === NO_ROW) return;
    Atomics.store(this.#words, row * ROW_WORDS + 2, VERDICTS.indexOf('unknown'));
    this.load.forgetLatency(row);
    this.#doubles.fill(0, (row * ROW_WORDS) / 2 + 2, (row * ROW_WORDS) / 2 + 4);
  }

  /** Nanoseconds; 0 if there is no verdict yet. */
  verdictAt(row: number): number {
    return this.#doubles[(row * ROW_WORDS) / 2 + 2] ?? 0;
  }

  /** When the peer was found well after it had been ill, in nanoseconds; 0 if it never was. */
  recoveredAt(row: number): number {
    return this.#doubles[(row * ROW_WORDS) / 2 + 3] ?? 0;
  }
}

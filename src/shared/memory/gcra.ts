/**
 * The generic cell rate algorithm, as arithmetic: no clock, no memory, no keys.
 *
 * A key's state is one number, how far its theoretical arrival time lies ahead
 * of now: what it owes. Each request adds its cost, time takes one off per
 * emission interval, and a request is refused that would bring it above the burst.
 *
 * Time is counted in ticks, a whole number of them per emission interval, so a
 * rate such as 3 per second is exact.
 */

export interface LimitPolicy {
  /** So many requests per `perMs` … */
  readonly count: number;
  readonly perMs: number;
  /** … and this many at once. */
  readonly burst: number;
}

/** What a burst takes to earn is never longer: so a table can keep times in 32 bits. */
export const MAX_WINDOW_TICKS = 2 ** 29;

/** So that a tick is fine enough in a window of that length. */
export const MAX_BURST = 1_000_000;

/** As fine as a request's clock; a finer tick would only use up the window. */
const FINEST_TICK_NS = 1_000;

export class Gcra {
  readonly burst: number;
  readonly #ticksPerRequest: number;
  readonly #nsPerTick: number;
  /** What a key may owe. */
  readonly #capacity: number;

  constructor({ count, perMs, burst }: LimitPolicy) {
    const intervalNs = (perMs * 1e6) / count;
    const finest = Math.floor(MAX_WINDOW_TICKS / (burst + 1));
    this.burst = burst;
    // Two at least: one would be as much as the tolerance in `excess`, and a burst of 20 would admit 21.
    this.#ticksPerRequest = Math.max(2, Math.min(finest, Math.ceil(intervalNs / FINEST_TICK_NS)));
    this.#nsPerTick = intervalNs / this.#ticksPerRequest;
    this.#capacity = burst * this.#ticksPerRequest;
  }

  ticksAt(nowNs: number): number {
    return Math.floor(nowNs / this.#nsPerTick);
  }

  /** Rounded up: a fraction of a request is never free. */
  ticksFor(requests: number): number {
    return Math.ceil(requests * this.#ticksPerRequest);
  }

  requestsIn(ticks: number): number {
    return ticks / this.#ticksPerRequest;
  }

  msIn(ticks: number): number {
    return (ticks * this.#nsPerTick) / 1e6;
  }

  /**
   * By how many ticks a debt is above what a key may owe; 0 or less: it may.
   *
   * One tick more is let pass: a client at exactly the allowed rate must not fail
   * by a clock that is rounded down. A tick is less than a request, so it never
   * adds one to a burst; and it is not earned anew with every request.
   */
  excess(owed: number): number {
    return owed - this.#capacity - 1;
  }

  /** Whole requests that a key may make at once that owes that much. */
  remaining(owed: number): number {
    return Math.max(0, Math.floor((this.#capacity - owed) / this.#ticksPerRequest));
  }
}

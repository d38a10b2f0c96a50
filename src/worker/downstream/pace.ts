/**
 * How long a client may take for a body, by the bytes that have moved: an idle
 * time between two reads or writes, and on average a rate. Without the rate, a
 * byte every 29 seconds would hold a connection for ever.
 *
 * Only the time that the client is waited for counts: while the proxy is the
 * slow side, the clock stands.
 */

/** Connections begin slowly, and a short pause is nobody's fault. */
const GRACE_MS = 5_000;

export class Pace {
  readonly #idleMs: number;
  /** Bytes per millisecond; 0 means none. */
  readonly #rate: number;
  #waitedMs = 0;
  #waitingSince = Number.NaN;

  /** @param minRate bytes per second; 0: only the idle time counts */
  constructor(idleMs: number, minRate: number) {
    this.#idleMs = idleMs;
    this.#rate = minRate / 1_000;
  }

  /** A new body. */
  reset(): void {
    this.#waitedMs = 0;
    this.#waitingSince = Number.NaN;
  }

  /**
   * From now on the client is waited for, or it has just moved some bytes.
   *
   * @param moved bytes so far
   * @returns when it is too late
   */
  wait(now: number, moved: number): number {
    this.stop(now);
    this.#waitingSince = now;
    const idleUntil = now + this.#idleMs;
    if (this.#rate === 0) return idleUntil;
    return Math.min(idleUntil, now + GRACE_MS + moved / this.#rate - this.#waitedMs);
  }

  /** The client is not waited for any more. */
  stop(now: number): void {
    if (!Number.isNaN(this.#waitingSince)) this.#waitedMs += now - this.#waitingSince;
    this.#waitingSince = Number.NaN;
  }

  /** Which of the two a deadline was. */
  isTooSlow(now: number, moved: number): boolean {
    if (this.#rate === 0) return false;
    const waited = Number.isNaN(this.#waitingSince) ? 0 : now - this.#waitingSince;
    return this.#waitedMs + waited >= GRACE_MS + moved / this.#rate;
  }
}

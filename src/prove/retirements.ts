/**
 * When workers were told to leave. A stream that never ends may be ended by its
 * worker at the end of the grace period, and no earlier.
 */
export interface Retirement {
  readonly beganAt: number;
  /** All connections made later are the new generation's. */
  endedAt: number;
}

export class Retirements {
  readonly graceMs: number;
  /** One for each upgrade and reload of the run. */
  readonly #all: Retirement[] = [];

  constructor(graceMs: number) {
    this.graceMs = graceMs;
  }

  begin(now: number): Retirement {
    const retirement = { beganAt: now, endedAt: Number.POSITIVE_INFINITY };
    this.#all.push(retirement);
    return retirement;
  }

  /** The `back`-th last one. */
  last(back: number): Retirement | undefined {
    return this.#all.at(-back);
  }

  /** When a stream that was opened then may be ended by the server. */
  earliestEnd(openedAt: number): number {
    const first = this.#all.find(({ endedAt }) => endedAt > openedAt);
    if (first === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(first.beganAt, openedAt) + this.graceMs;
  }
}

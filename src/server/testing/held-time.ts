/** A clock that stands still until a test moves it, with the timers that hang on it. */
import type { Time } from '../../shared/time/time.ts';

interface Timer {
  at: number;
  /** `undefined`: it rings once. */
  readonly everyMs: number | undefined;
  readonly run: () => void;
}

/** Far enough from 0 for "long ago" to have a number, too. */
const START_MS = 1_000_000_000;

export class HeldTime implements Time {
  readonly #timers = new Set<Timer>();
  #now = START_MS;

  readonly now = (): number => this.#now;
  readonly clock = (): number => this.#now * 1e6;

  after(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, everyMs: undefined, run });
  }

  every(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, everyMs: ms, run });
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /**
   * Rings every timer on the way, each at its own time.
   *
   * @param settle lets what a timer has caused take its course, before time goes on
   */
  async advance(ms: number, settle: () => Promise<void>): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`advance: expected 0 ms or more, got ${ms}`);
    const end = this.#now + ms;
    await settle();
    for (let next = this.#nextUntil(end); next !== undefined; next = this.#nextUntil(end)) {
      this.#now = next.at;
      if (next.everyMs === undefined) this.#timers.delete(next);
      else next.at += next.everyMs;
      next.run();
      await settle();
    }
    this.#now = end;
  }

  #nextUntil(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= end && timer.at < (first?.at ?? Number.POSITIVE_INFINITY)) first = timer;
    }
    return first;
  }
}

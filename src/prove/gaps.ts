/**
 * How long a new client had to wait at worst: from the start of an attempt to
 * connect to the end of an answer. An attempt that fails makes the gap longer,
 * up to the answer that somebody gets at last.
 */

/** The process is late by as much when a tick comes later than this. */
const TICK_MS = 2;
const REMEMBERED_STALLS = 512;

export interface Gap {
  readonly longestMs: number;
  /** So long did the clients' own process stand still in it; the server has no part in that. */
  readonly stalledMs: number;
}

interface Stall {
  readonly endedAt: number;
  readonly ms: number;
}

export class Gaps implements Disposable {
  readonly #longest = new Map<string, Gap>();
  readonly #stalls: Stall[] = [];
  readonly #ticking: NodeJS.Timeout;
  #tickedAt = performance.now();
  #openSince: number | undefined;

  constructor() {
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticking);
  }

  attempt(): void {
    this.#openSince ??= performance.now();
  }

  /** @param during the intervention that came last */
  answered(during: string): void {
    const now = performance.now();
    const openSince = this.#openSince ?? now;
    this.#openSince = undefined;
    const longestMs = now - openSince;
    if (longestMs <= (this.#longest.get(during)?.longestMs ?? 0)) return;
    this.#longest.set(during, { longestMs, stalledMs: this.#stalledSince(openSince, now) });
  }

  /** By what came last. */
  get longest(): ReadonlyMap<string, Gap> {
    return this.#longest;
  }

  #tick(): void {
    const now = performance.now();
    const ms = now - this.#tickedAt - TICK_MS;
    this.#tickedAt = now;
    if (ms < 1) return;
    this.#stalls.push({ endedAt: now, ms });
    if (this.#stalls.length > REMEMBERED_STALLS) this.#stalls.shift();
  }

  #stalledSince(start: number, now: number): number {
    const current = Math.max(0, now - this.#tickedAt - TICK_MS);
    const past = this.#stalls
      .filter(({ endedAt }) => endedAt > start)
      .reduce((sum, { ms }) => sum + ms, 0);
    return Math.min(now - start, past + current);
  }
}

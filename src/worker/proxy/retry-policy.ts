/**
 * When a request is sent again although the error catalog does not say so by
 * itself: after a response with one of some statuses, because the peer closed
 * without a response, or because a phase asks for it. The peer may then have worked for nothing, and a peer that is slow
 * because it has too much to do would get even more. So such retries have a
 * budget, a share of the requests that are running, and pauses before them.
 *
 * Retries after a failed connection, or a pooled one that was closed, cost no
 * peer any work; only the number of attempts bounds them.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';

export interface RetryOptions {
  /** Responses with these statuses are thrown away and the request is sent again. Default: none. */
  readonly statuses?: readonly number[];
  /**
   * Idempotent requests to which a peer has said nothing before it closed the connection are sent again,
   * so that a peer which restarts costs nobody an answer. Default false: a request that brings peers down would reach several.
   */
  readonly closed?: boolean;
  /** Retries that run at the same time, as a share of the running requests of the worker. Default 20. */
  readonly budgetPercent?: number;
  /** So many may run in any case. Default 3. */
  readonly minConcurrent?: number;
  /** Longest pause before the first of them; it doubles with each. Default 25 ms. */
  readonly backOffMs?: number;
  /** The longest pause of all. Default 250 ms. */
  readonly maxBackOffMs?: number;
}

/** Whether a request may be sent again after a failure. What a peer may have seen is never sent twice if it is a POST. */
export function mayRepeat(
  { facts: { retry } }: ProxyError,
  isIdempotent: boolean,
): 'yes' | 'if-asked' | 'no' {
  switch (retry) {
    case 'safe':
      return 'yes';
    case 'if-idempotent':
      return isIdempotent ? 'yes' : 'no';
    case 'never':
      return isIdempotent ? 'if-asked' : 'no';
  }
}

export class RetryPolicy {
  readonly statuses: ReadonlySet<number> | undefined;
  readonly #closed: boolean;
  readonly #budgetShare: number;
  readonly #minConcurrent: number;
  readonly #backOffMs: number;
  readonly #maxBackOffMs: number;
  #running = 0;

  constructor(options: RetryOptions = {}) {
    const { statuses = [], closed = false, budgetPercent = 20, minConcurrent = 3 } = options;
    const { backOffMs = 25, maxBackOffMs = 250 } = options;
    this.statuses = statuses.length === 0 ? undefined : new Set(statuses);
    this.#closed = closed;
    this.#budgetShare = budgetPercent / 100;
    this.#minConcurrent = minConcurrent;
    this.#backOffMs = backOffMs;
    this.#maxBackOffMs = maxBackOffMs;
  }

  /** Whether such a failure is to be followed by a retry though no phase asks for one. */
  asksAfter({ code }: ProxyError): boolean {
    return this.#closed && code === 'upstream/closed';
  }

  /** @returns whether one more may run; if so, `give` ends it */
  take(runningRequests: number): boolean {
    const allowed = Math.max(this.#minConcurrent, runningRequests * this.#budgetShare);
    if (this.#running + 1 > allowed) return false;
    this.#running += 1;
    return true;
  }

  give(): void {
    this.#running -= 1;
  }

  /**
   * Anything between nothing and the full pause: requests that failed together must
   * not come back together.
   *
   * @param attempts so far
   */
  pauseMs(attempts: number, random: number = Math.random()): number {
    const full = Math.min(this.#maxBackOffMs, this.#backOffMs * 2 ** (attempts - 1));
    return full * random;
  }
}

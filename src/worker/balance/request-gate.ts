/**
 * Lets so many requests to an upstream be under way at a time, over all processes
 * of the host. Further ones wait their turn, for a bounded time and in a bounded
 * number; beyond that the client is told at once to come back later, which costs
 * less than a peer that is overrun.
 *
 * The counts are cells of the peer table (`peer-load.ts`), in rows of their own: a
 * process that is killed gives back what it had. No process can wake the requests
 * that wait in another one, so those look again every few milliseconds.
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import { ownPeerLoad, type PeerLoad } from '../../shared/memory/peer-load.ts';
import { NO_ROW, type PeerTable } from '../../shared/memory/peer-table.ts';
import type { Gate, GateWaiter } from '../upstream/peer-observer.ts';
import { machineTime, type Time } from '../../shared/time/time.ts';

export interface CircuitBreakerOptions {
  /** Requests to the upstream that may be under way at a time, over all workers of the host. */
  readonly maxRequests: number;
  /** Requests that may wait for one of them to end, over all workers. Default 1,024; 0: none. */
  readonly maxPending?: number;
  /** How long one may wait. Default 1,000 ms. */
  readonly pendingTimeoutMs?: number;
}

const OPTIONS = { maxRequests: true, maxPending: true, pendingTimeoutMs: true } as const;

/** No address is like these. */
const REQUESTS = '#requests';
const PENDING = '#pending';

const LOOK_AGAIN_MS = 10;

/** Where requests are counted. */
interface Counter {
  readonly load: PeerLoad;
  readonly row: number;
}

export class RequestGate implements Gate {
  readonly #upstream: string;
  readonly #maxRequests: number;
  readonly #maxPending: number;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<GateWaiter, number>();
  #requests: Counter = { load: ownPeerLoad(), row: 0 };
  #pending: Counter = { load: ownPeerLoad(), row: 0 };
  #time: Time = machineTime;
  #stopLooking: (() => void) | undefined;
  #willAdmit = false;

  /** @throws {TypeError} an option is unknown, or a number makes no sense */
  constructor(upstream: string, options: CircuitBreakerOptions) {
    const whose = `LoadBalancer "${upstream}": circuitBreaker`;
    refuseUnknown(whose, options, OPTIONS);
    const { maxRequests, maxPending = 1_024, pendingTimeoutMs = 1_000 } = options;
    const check = (name: string, given: number, least: number) => {
      if (Number.isSafeInteger(given) && given >= least) return given;
      throw new TypeError(
        `${whose}: ${name}: expected a whole number from ${least} on, got ${given}`,
      );
    };
    this.#upstream = upstream;
    this.#maxRequests = check('maxRequests', maxRequests, 1);
    this.#maxPending = check('maxPending', maxPending, 0);
    this.#timeoutMs = check('pendingTimeoutMs', pendingTimeoutMs, 1);
  }

  /** From now on the counts are those of the host; where the table is full, those of this process. */
  use(table: PeerTable, time: Time): void {
    const counter = (name: string): Counter => {
      const row = table.rowOrNone(this.#upstream, name);
      return row === NO_ROW ? { load: ownPeerLoad(), row: 0 } : { load: table.load, row };
    };
    this.#requests = counter(REQUESTS);
    this.#pending = counter(PENDING);
    this.#time = time;
  }

  tryEnter(): boolean {
    return this.#waiting.size === 0 && this.#take();
  }

  wait(waiter: GateWaiter): () => void {
    const { load, row } = this.#pending;
    load.begin(row);
    if (load.inFlight(row) > this.#maxPending) {
      load.end(row);
      throw this.#refusal(`${this.#maxPending} requests wait already`);
    }
    this.#waiting.set(waiter, this.#time.now() + this.#timeoutMs);
    this.#stopLooking ??= this.#time.every(LOOK_AGAIN_MS, () => this.#look());
    return () => this.#takeOut(waiter);
  }

  /** One that had entered is over. */
  leave(): void {
    this.#requests.load.end(this.#requests.row);
    if (this.#waiting.size === 0 || this.#willAdmit) return;
    this.#willAdmit = true;
    // Not within the end of that request: each could end at once and let in the next, without end.
    queueMicrotask(() => {
      this.#willAdmit = false;
      this.#admit();
    });
  }

  /** Counted before it is compared: of two processes that want the last place, none gets one too many. */
  #take(): boolean {
    const { load, row } = this.#requests;
    load.begin(row);
    if (load.inFlight(row) <= this.#maxRequests) return true;
    load.end(row);
    return false;
  }

  #look(): void {
    this.#admit();
    const now = this.#time.now();
    for (const [waiter, until] of this.#waiting) {
      if (until > now) break; // they are in the order of their arrival
      this.#takeOut(waiter);
      waiter.onRefused(this.#refusal(`none of them ended within ${this.#timeoutMs} ms`));
    }
  }

  #admit(): void {
    for (const [waiter] of this.#waiting) {
      if (!this.#take()) return;
      this.#takeOut(waiter);
      waiter.onEntered();
    }
  }

  #takeOut(waiter: GateWaiter): void {
    if (!this.#waiting.delete(waiter)) return;
    this.#pending.load.end(this.#pending.row);
    if (this.#waiting.size > 0) return;
    this.#stopLooking?.();
    this.#stopLooking = undefined;
  }

  #refusal(detail: string): ProxyError {
    return new ProxyError(
      'upstream/overloaded',
      `${this.#maxRequests} requests to ${this.#upstream} are under way, and ${detail}`,
    );
  }
}

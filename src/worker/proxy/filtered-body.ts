/**
 * A body that passes a phase of the program on its way. Pieces are copied for
 * it, so that it may keep them; bodies that no phase looks at never come here.
 *
 * While the phase waits, the source pauses. What it still delivers waits here:
 * no more than it had read already.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';
import { phaseTimeout } from './patience.ts';
import { isPending, type Awaitable, type BodyOutcome, type PhaseName } from './proxy-http.ts';
import { asProxyError } from './session.ts';

/** The phases of one direction at one place; both are optional. */
export interface BodyPhases {
  readonly pieces?:
    | {
        readonly phase: PhaseName;
        filter(piece: Buffer, endOfBody: boolean): Awaitable<BodyOutcome>;
      }
    | undefined;
  readonly trailers?:
    | { readonly phase: PhaseName; filter(trailers: Headers): Awaitable<void> }
    | undefined;
}

export interface FilteredBodyOptions {
  readonly phases: BodyPhases;
  /** What the head promises; `undefined`: nothing. */
  readonly length: number | undefined;
  readonly deadlines: Deadlines;
  readonly phaseTimeoutMs: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const EMPTY = Buffer.alloc(0);

export class FilteredBody implements IncomingBody, BodyReceiver, Expiring {
  readonly length: number | undefined;
  deadlineAt = NEVER;
  readonly #source: IncomingBody;
  readonly #phases: BodyPhases;
  readonly #deadlines: Deadlines;
  readonly #phaseTimeoutMs: number;
  #receiver: BodyReceiver | undefined;
  /** The phase that is waited for. */
  #pending: PhaseName | undefined;
  #waiting: Buffer[] = [];
  #sourceEnded = false;
  #trailers: Headers | undefined;
  #paused = false;
  #over = false;
  #delivered = 0;

  constructor(source: IncomingBody, options: FilteredBodyOptions) {
    this.#source = source;
    this.#phases = options.phases;
    this.length = options.length;
    this.#deadlines = options.deadlines;
    this.#phaseTimeoutMs = options.phaseTimeoutMs;
  }

  start(receiver: BodyReceiver): void {
    this.#receiver = receiver;
    this.#source.start(this);
  }

  pause(): void {
    this.#paused = true;
    if (!this.#sourceEnded) this.#source.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#pending === undefined && !this.#sourceEnded) this.#source.resume();
  }

  discard(): void {
    this.detach();
    this.#source.discard();
  }

  /** Nobody takes the body from here any more. */
  detach(): void {
    this.#over = true;
    this.#waiting = [];
    this.#settled();
    if (this.#source instanceof FilteredBody) this.#source.detach();
  }

  // ── from the source ───────────────────────────────────────────────────────

  onData(bytes: Buffer, from: number, end: number): void {
    if (this.#over) return;
    if (this.#phases.pieces === undefined) return this.#receiver!.onData(bytes, from, end);
    const piece = Buffer.from(bytes.subarray(from, end));
    if (this.#pending === undefined) return this.#filter(piece, false);
    this.#waiting.push(piece);
    this.#source.pause();
  }

  onIdle(): void {
    if (this.#pending === undefined && !this.#over) this.#receiver!.onIdle();
  }

  onEnd(trailers: Headers | undefined): void {
    if (this.#over) return;
    this.#sourceEnded = true;
    this.#trailers = trailers;
    if (this.#pending === undefined) this.#filterEnd();
  }

  onError(error: ProxyError): void {
    if (this.#over) return;
    this.detach();
    this.#receiver!.onError(error);
  }

  // ── through the phases ────────────────────────────────────────────────────

  #filter(piece: Buffer, endOfBody: boolean): void {
    const step = this.#phases.pieces!;
    let outcome: Awaitable<BodyOutcome>;
    try {
      outcome = step.filter(piece, endOfBody);
    } catch (thrown) {
      return this.#fail(asProxyError(thrown, step.phase));
    }
    if (!isPending(outcome)) return this.#filtered(outcome ?? piece, endOfBody);
    this.#waitFor(step.phase, outcome, (decided) => this.#filtered(decided ?? piece, endOfBody));
  }

  #filtered(outcome: Uint8Array | string, endOfBody: boolean): void {
    const bytes = typeof outcome === 'string' ? Buffer.from(outcome) : asBuffer(outcome);
    this.#delivered += bytes.length;
    if (this.length !== undefined && this.#delivered > this.length) {
      return this.#fail(this.#lengthBroken(`${this.#delivered} or more`));
    }
    if (bytes.length > 0) this.#receiver!.onData(bytes, 0, bytes.length);
    if (endOfBody) this.#filterTrailers();
  }

  #filterEnd(): void {
    if (this.#phases.pieces === undefined) this.#filterTrailers();
    else this.#filter(EMPTY, true);
  }

  #filterTrailers(): void {
    const trailers = this.#trailers;
    const { trailers: step } = this.#phases;
    if (trailers === undefined || step === undefined) return this.#end();
    let done: Awaitable<void>;
    try {
      done = step.filter(trailers);
    } catch (thrown) {
      return this.#fail(asProxyError(thrown, step.phase));
    }
    if (isPending(done)) this.#waitFor(step.phase, done, () => this.#end());
    else this.#end();
  }

  #end(): void {
    const isShort = this.length !== undefined && this.#delivered < this.length;
    if (isShort && this.#phases.pieces !== undefined) {
      return this.#fail(this.#lengthBroken(String(this.#delivered)));
    }
    this.#over = true;
    this.#receiver!.onEnd(this.#trailers);
  }

  #waitFor<T>(phase: PhaseName, pending: Promise<T>, next: (value: T) => void): void {
    this.#pending = phase;
    this.deadlineAt = this.#deadlines.now + this.#phaseTimeoutMs;
    this.#deadlines.add(this);
    if (!this.#sourceEnded) this.#source.pause();
    pending.then(
      (value) => {
        if (this.#over) return;
        this.#settled();
        try {
          next(value);
          this.#goOn();
        } catch (thrown) {
          this.#fail(asProxyError(thrown));
        }
      },
      (thrown: unknown) => this.#fail(asProxyError(thrown, phase)),
    );
  }

  /** With what has come while a phase was waited for. */
  #goOn(): void {
    while (this.#pending === undefined && !this.#over) {
      const piece = this.#waiting.shift();
      if (piece !== undefined) this.#filter(piece, false);
      else if (this.#sourceEnded) return this.#filterEnd();
      else {
        this.#receiver!.onIdle();
        if (!this.#paused) this.#source.resume();
        return;
      }
    }
  }

  #settled(): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    this.#deadlines.remove(this);
  }

  onDeadline(): void {
    if (this.#pending !== undefined) this.#fail(phaseTimeout(this.#pending, this.#phaseTimeoutMs));
  }

  #lengthBroken(got: string): ProxyError {
    const { phase } = this.#phases.pieces!;
    return new ProxyError(
      'internal/body-length',
      `expected ${this.length} bytes from ${phase}, as Content-Length promises, got ${got}`,
      { phase },
    );
  }

  #fail(error: ProxyError): void {
    if (this.#over) return;
    this.detach();
    if (!this.#sourceEnded) this.#source.discard();
    this.#receiver!.onError(error);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

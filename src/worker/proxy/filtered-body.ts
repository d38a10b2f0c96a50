/**
 * A body that passes phases of the program on its way. Pieces are copied for
 * them, so that they may keep them; bodies that no phase looks at never come here.
 *
 * While a phase waits, the source pauses. What it still delivers waits here:
 * no more than it had read already.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';
import { phaseTimeout } from './patience.ts';
import { isPending, type Awaitable, type BodyOutcome, type PhaseName } from './proxy-http.ts';
import { asProxyError, type Session } from './session.ts';

/** What a body passes at one place of its way; both are optional. */
export interface BodyStage {
  readonly pieces?:
    | {
        readonly phase: PhaseName;
        filter(session: Session, piece: Buffer, endOfBody: boolean): Awaitable<BodyOutcome>;
      }
    | undefined;
  readonly trailers?:
    | {
        readonly phase: PhaseName;
        filter(session: Session, trailers: Headers): Awaitable<void>;
      }
    | undefined;
}

/** All stages of one direction, in their order; the same for all requests of a service. */
export interface BodyPhases {
  readonly stages: readonly BodyStage[];
  /** One of them looks at pieces, and may change their length. */
  readonly changesBodies: boolean;
}

export interface FilteredBodyOptions {
  readonly session: Session;
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
  readonly #session: Session;
  readonly #phases: BodyPhases;
  readonly #deadlines: Deadlines;
  readonly #phaseTimeoutMs: number;
  #receiver: BodyReceiver | undefined;
  /** The phase that is waited for. */
  #pending: PhaseName | undefined;
  #waiting: Buffer[] | undefined;
  #sourceEnded = false;
  #trailers: Headers | undefined;
  #paused = false;
  #over = false;
  #delivered = 0;

  constructor(source: IncomingBody, options: FilteredBodyOptions) {
    this.#source = source;
    this.#session = options.session;
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
    this.#waiting = undefined;
    this.#settled();
  }

  // ── from the source ───────────────────────────────────────────────────────

  onData(bytes: Buffer, from: number, end: number): void {
    if (this.#over) return;
    if (!this.#phases.changesBodies) return this.#receiver!.onData(bytes, from, end);
    const piece = Buffer.allocUnsafe(end - from);
    bytes.copy(piece, 0, from, end);
    if (this.#pending === undefined) return this.#pass(0, piece, false);
    (this.#waiting ??= []).push(piece);
    this.#source.pause();
  }

  onIdle(): void {
    if (this.#pending === undefined && !this.#over) this.#receiver!.onIdle();
  }

  onEnd(trailers: Headers | undefined): void {
    if (this.#over) return;
    this.#sourceEnded = true;
    this.#trailers = trailers;
    if (this.#pending === undefined) this.#pass(0, EMPTY, true);
  }

  onError(error: ProxyError): void {
    if (this.#over) return;
    this.detach();
    this.#receiver!.onError(error);
  }

  // ── through the phases ────────────────────────────────────────────────────

  /** Through the stages from that one on, and then to whoever takes the body. */
  #pass(from: number, piece: Buffer, endOfBody: boolean): void {
    const { stages } = this.#phases;
    let bytes = piece;
    for (let at = from; at < stages.length; at++) {
      const step = stages[at]!.pieces;
      if (step !== undefined && (endOfBody || bytes.length > 0)) {
        let outcome: Awaitable<BodyOutcome>;
        try {
          outcome = step.filter(this.#session, bytes, endOfBody);
        } catch (thrown) {
          return this.#fail(asProxyError(thrown, step.phase));
        }
        if (isPending(outcome)) {
          const unchanged = bytes;
          return this.#waitFor(step.phase, outcome, (decided) =>
            this.#passed(at, asBuffer(decided ?? unchanged), endOfBody),
          );
        }
        if (outcome !== undefined) bytes = asBuffer(outcome);
      }
      if (endOfBody && this.#trailers !== undefined && this.#waitsForTrailers(at, bytes)) return;
    }
    this.#deliver(bytes, endOfBody);
  }

  /** That stage has decided about the pieces. */
  #passed(at: number, bytes: Buffer, endOfBody: boolean): void {
    const hasTrailers = endOfBody && this.#trailers !== undefined;
    if (hasTrailers && this.#waitsForTrailers(at, bytes)) return;
    this.#pass(at + 1, bytes, endOfBody);
  }

  /** @returns true: the stages after that one have to wait for its phase, or it has failed */
  #waitsForTrailers(at: number, bytes: Buffer): boolean {
    const step = this.#phases.stages[at]!.trailers;
    if (step === undefined) return false;
    let done: Awaitable<void>;
    try {
      done = step.filter(this.#session, this.#trailers!);
    } catch (thrown) {
      this.#fail(asProxyError(thrown, step.phase));
      return true;
    }
    if (!isPending(done)) return false;
    this.#waitFor(step.phase, done, () => this.#pass(at + 1, bytes, true));
    return true;
  }

  #deliver(bytes: Buffer, endOfBody: boolean): void {
    if (bytes.length > 0) {
      this.#delivered += bytes.length;
      if (this.length !== undefined && this.#delivered > this.length) {
        return this.#fail(this.#lengthBroken(`${this.#delivered} or more`));
      }
      this.#receiver!.onData(bytes, 0, bytes.length);
    }
    if (!endOfBody || this.#over) return;
    const isShort = this.length !== undefined && this.#delivered < this.length;
    if (isShort && this.#phases.changesBodies) {
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
      const piece = this.#waiting?.shift();
      if (piece !== undefined) this.#pass(0, piece, false);
      else if (this.#sourceEnded) return this.#pass(0, EMPTY, true);
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
    const { phase } = this.#phases.stages.findLast(({ pieces }) => pieces !== undefined)!.pieces!;
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

function asBuffer(bytes: Uint8Array | string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes);
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

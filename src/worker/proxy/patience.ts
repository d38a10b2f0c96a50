/**
 * How long a request is waited for: for a phase that returned a promise, and
 * for the head of a response over all attempts. Made only for requests that
 * wait for either.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { PhaseName } from './proxy-http.ts';

const NEVER = Number.POSITIVE_INFINITY;

export class Patience implements Expiring {
  deadlineAt = NEVER;
  readonly #deadlines: Deadlines;
  readonly #onOver: (error: ProxyError) => void;
  /** A phase that reads the client's body has the time that the client has. */
  readonly #isReadingBody: () => boolean;
  #phase: PhaseName | undefined;
  #phaseMs = 0;
  #phaseEndsAt = NEVER;
  #requestMs = 0;
  #requestEndsAt = NEVER;

  constructor(
    deadlines: Deadlines,
    isReadingBody: () => boolean,
    onOver: (error: ProxyError) => void,
  ) {
    this.#deadlines = deadlines;
    this.#isReadingBody = isReadingBody;
    this.#onOver = onOver;
    deadlines.add(this);
  }

  phaseBegan(phase: PhaseName | undefined, ms: number): void {
    this.#phase = phase;
    this.#phaseMs = ms;
    this.#phaseEndsAt = this.#deadlines.now + ms;
    this.#arm();
  }

  phaseEnded(): void {
    this.#phaseEndsAt = NEVER;
    this.#arm();
  }

  /** @param startedAt when the request began */
  answerWithin(ms: number, startedAt: number): void {
    this.#requestMs = ms;
    this.#requestEndsAt = startedAt + ms;
    this.#arm();
  }

  /** What still comes has deadlines of its own. */
  headArrived(): void {
    this.#requestEndsAt = NEVER;
    this.#arm();
  }

  end(): void {
    this.#deadlines.remove(this);
  }

  #arm(): void {
    this.deadlineAt = Math.min(this.#phaseEndsAt, this.#requestEndsAt);
  }

  onDeadline(): void {
    if (this.#requestEndsAt <= this.#deadlines.now) {
      this.#requestEndsAt = NEVER;
      const detail = `no response within ${this.#requestMs} ms over all attempts`;
      this.#onOver(new ProxyError('upstream/request-timeout', detail));
    } else if (this.#isReadingBody()) {
      this.phaseBegan(this.#phase, this.#phaseMs);
    } else {
      this.#phaseEndsAt = NEVER;
      this.#onOver(phaseTimeout(this.#phase, this.#phaseMs));
    }
  }
}

export function phaseTimeout(phase: PhaseName | undefined, ms: number): ProxyError {
  return new ProxyError(
    'internal/phase-timeout',
    `expected ${phase} to end within ${ms} ms; it still runs`,
    { phase },
  );
}

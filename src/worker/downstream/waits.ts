/**
 * How long a client is waited for while it sends the body of a request or takes the
 * answer to it: by the timeouts of that request, which may have its own, and the pace
 * at which bytes move. Most connections never see a body or a full socket, and have none.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { ExchangeTimeouts } from '../http/exchange.ts';
import {
  answerTakenTooLate,
  answerTakenTooSlowly,
  bodyTooLate,
  bodyTooSlow,
} from './client-errors.ts';
import { Pace } from './pace.ts';
import type { ConnectionOptions, DownstreamTimeouts } from './settings.ts';

export class Waits {
  readonly #options: ConnectionOptions;
  /** Of the current request. */
  #timeouts: DownstreamTimeouts;
  #body: Pace;
  #answer: Pace;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#timeouts = options.timeouts;
    this.#body = this.#pace(this.#timeouts.requestBodyMs);
    this.#answer = this.#pace(this.#timeouts.responseWriteMs);
  }

  /** Another request. */
  reset(): void {
    if (this.#timeouts !== this.#options.timeouts) return this.#use(this.#options.timeouts);
    this.#body.reset();
    this.#answer.reset();
  }

  /** For the current request only. */
  change(timeouts: ExchangeTimeouts): void {
    this.#use({ ...this.#timeouts, ...timeouts });
  }

  #use(timeouts: DownstreamTimeouts): void {
    this.#timeouts = timeouts;
    this.#body = this.#pace(timeouts.requestBodyMs);
    this.#answer = this.#pace(timeouts.responseWriteMs);
  }

  #pace(idleMs: number): Pace {
    return new Pace(idleMs, this.#options.limits.minRate);
  }

  /**
   * @param received body bytes so far
   * @returns when the next ones are too late
   */
  forBody(received: number): number {
    return this.#body.wait(this.#options.deadlines.now, received);
  }

  /** The client cannot send while nobody reads, so its time stands still. */
  stopBody(): void {
    this.#body.stop(this.#options.deadlines.now);
  }

  /**
   * @param sent bytes of the answer's body so far
   * @returns when the client must have taken some of what is waiting for it
   */
  forAnswer(sent: number): number {
    return this.#answer.wait(this.#options.deadlines.now, sent);
  }

  stopAnswer(): void {
    this.#answer.stop(this.#options.deadlines.now);
  }

  /** What is wrong with a body whose deadline has passed. */
  bodyError(address: string, received: number): ProxyError {
    const { deadlines, limits } = this.#options;
    return this.#body.isTooSlow(deadlines.now, received)
      ? bodyTooSlow(address, limits.minRate)
      : bodyTooLate(address, this.#timeouts.requestBodyMs);
  }

  /** What is wrong with a client that has not taken its answer by the deadline. */
  answerError(address: string, sent: number): ProxyError {
    const { deadlines, limits } = this.#options;
    return this.#answer.isTooSlow(deadlines.now, sent)
      ? answerTakenTooSlowly(address, limits.minRate)
      : answerTakenTooLate(address, this.#timeouts.responseWriteMs);
  }
}

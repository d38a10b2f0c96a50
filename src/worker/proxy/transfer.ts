/**
 * Moves one body from the connection that reads it to the connection that
 * writes it: the one loop for every protocol and both directions. A writer that
 * is full pauses the reader, so memory stays bounded by what was read at once.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody, OutgoingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';

export class Transfer implements BodyReceiver {
  /** The whole body has been handed to the writer. */
  complete = false;
  readonly #source: IncomingBody;
  readonly #sink: OutgoingBody;
  #failure: ProxyError | undefined;
  #settled: PromiseWithResolvers<void> | undefined;

  constructor(source: IncomingBody, sink: OutgoingBody) {
    this.#source = source;
    this.#sink = sink;
  }

  /**
   * Begins; a short body may be through before this returns.
   *
   * @returns resolves when the body is through, rejects with the reader's error;
   *   `undefined` if it is through already, so that nobody has to wait
   */
  run(): Promise<void> | undefined {
    this.#sink.onDrain = () => this.#source.resume();
    this.#source.start(this);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.complete) return undefined;
    this.#settled = Promise.withResolvers();
    return this.#settled.promise;
  }

  onData(bytes: Buffer, from: number, end: number): void {
    if (!this.#sink.write(bytes, from, end)) this.#source.pause();
  }

  onIdle(): void {
    this.#sink.flush();
  }

  onEnd(trailers: Headers | undefined): void {
    this.complete = true;
    this.#sink.onDrain = undefined;
    this.#sink.end(trailers);
    this.#settled?.resolve();
  }

  onError(error: ProxyError): void {
    this.#failure = error;
    this.#sink.onDrain = undefined;
    this.#settled?.reject(error);
  }
}

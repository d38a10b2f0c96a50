/**
 * Moves one body from the connection that reads it to the connection that
 * writes it: the one loop for every protocol and both directions. A writer that
 * is full pauses the reader, so memory stays bounded by what was read at once.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody, OutgoingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';

/** Hears of the end of a transfer: of exactly one of the two, once, possibly before `start` returns. */
export interface TransferOwner {
  onTransferred(transfer: Transfer): void;
  onTransferFailed(transfer: Transfer, error: ProxyError): void;
}

export class Transfer implements BodyReceiver {
  /** The whole body has been handed to the writer. */
  complete = false;
  readonly #source: IncomingBody;
  readonly #sink: OutgoingBody;
  readonly #owner: TransferOwner;

  constructor(source: IncomingBody, sink: OutgoingBody, owner: TransferOwner) {
    this.#source = source;
    this.#sink = sink;
    this.#owner = owner;
  }

  start(): void {
    this.#source.start(this);
  }

  onData(bytes: Buffer, from: number, end: number): void {
    if (this.#sink.write(bytes, from, end)) return;
    this.#sink.onDrain = () => this.#source.resume();
    this.#source.pause();
  }

  onIdle(): void {
    this.#sink.flush();
  }

  onEnd(trailers: Headers | undefined): void {
    this.complete = true;
    this.#sink.onDrain = undefined;
    this.#sink.end(trailers);
    this.#owner.onTransferred(this);
  }

  onError(error: ProxyError): void {
    this.#sink.onDrain = undefined;
    this.#owner.onTransferFailed(this, error);
  }
}

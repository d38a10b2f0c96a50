/**
 * Requests that were sent on a connection behind the one that is being answered
 * (RFC 9112 §9.3.2), in the order in which their responses will come.
 *
 * Only for peers whose upstream asks for it: several requests then leave in one
 * write and their answers come in one read, which halves what a small request
 * costs when the proxy is the bottleneck. The price is that a slow answer delays
 * all behind it.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import type { ResponseReceiver } from './response-receiver.ts';

export interface SentRequest {
  readonly requester: ResponseReceiver;
  readonly method: string;
  /** Of the transport, when it was written. */
  readonly handOvers: number;
}

export class Pipeline {
  #waiting: SentRequest[] = [];

  get length(): number {
    return this.#waiting.length;
  }

  push(request: SentRequest): void {
    this.#waiting.push(request);
  }

  next(): SentRequest | undefined {
    return this.#waiting.shift();
  }

  /** Its response will come all the same, and is thrown away. @returns false: it is not among them */
  abandon(requester: ResponseReceiver): boolean {
    const at = this.#waiting.findIndex((each) => each.requester === requester);
    if (at < 0) return false;
    this.#waiting[at] = { ...this.#waiting[at]!, requester: new Discarding() };
    return true;
  }

  /** No response will come to any of them. */
  fail(error: () => ProxyError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { requester } of waiting) requester.onFailed(error());
  }
}

/** A longer rest is not worth its reading: a new connection is cheaper. */
const MAX_DISCARDED_BYTES = 256 * 1024;

/** Takes a response that nobody wants any more, for the sake of those behind it. */
export class Discarding implements ResponseReceiver, BodyReceiver {
  #body: IncomingBody | undefined;
  #bytes = 0;

  onInterim(): void {}

  onResponse(_head: unknown, body: IncomingBody | undefined): void {
    if (body !== undefined) this.take(body);
  }

  /** @param body has not been started, or its receiver has left */
  take(body: IncomingBody): void {
    this.#body = body;
    body.start(this);
  }

  /** Nobody pipelines a request for an upgrade. */
  onUpgraded(): void {}

  onFailed(): void {}

  onData(_bytes: Buffer, from: number, end: number): void {
    this.#bytes += end - from;
    if (this.#bytes > MAX_DISCARDED_BYTES) this.#body?.discard();
  }

  onIdle(): void {}

  onEnd(): void {}

  onError(): void {}
}

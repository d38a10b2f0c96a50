/**
 * A request body that can be sent a second time, as long as it is short: what
 * was read of it is kept until it grows beyond a bound. Without it, a PUT that
 * met a closed pooled connection could not be sent again.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';

const MAX_KEPT_BYTES = 64 * 1024;

type End = { readonly trailers: Headers | undefined } | { readonly error: ProxyError };

export class ReplayableBody implements IncomingBody, BodyReceiver {
  readonly #source: IncomingBody;
  readonly #maxKeptBytes: number;
  #receiver: BodyReceiver | undefined;
  #started = false;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #overflowed = false;
  #end: End | undefined;

  /** @param maxKeptBytes beyond it, what was read is forgotten and cannot be sent again */
  constructor(source: IncomingBody, maxKeptBytes = MAX_KEPT_BYTES) {
    this.#source = source;
    this.#maxKeptBytes = maxKeptBytes;
  }

  get length(): number | undefined {
    return this.#source.length;
  }

  /** Everything that was read so far can be read again. */
  get canReplay(): boolean {
    return !this.#overflowed;
  }

  /** From the beginning; the receiver of an earlier attempt hears nothing more. */
  start(receiver: BodyReceiver): void {
    this.#receiver = receiver;
    if (!this.#started) {
      this.#started = true;
      this.#source.start(this);
      return;
    }
    if (this.#overflowed) throw new Error('a body beyond the bound cannot be replayed');
    for (const piece of this.#kept) receiver.onData(piece, 0, piece.length);
    this.#finish(receiver);
  }

  #finish(receiver: BodyReceiver): void {
    if (this.#end === undefined) {
      receiver.onIdle();
      this.#source.resume();
    } else if ('error' in this.#end) receiver.onError(this.#end.error);
    else receiver.onEnd(this.#end.trailers);
  }

  /** No attempt reads it now; the client waits until the next one does. */
  detach(): void {
    this.#receiver = undefined;
    if (this.#started && this.#end === undefined) this.#source.pause();
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  discard(): void {
    this.#source.discard();
  }

  onData(bytes: Buffer, from: number, end: number): void {
    this.#keep(bytes, from, end);
    this.#receiver?.onData(bytes, from, end);
  }

  #keep(bytes: Buffer, from: number, end: number): void {
    if (this.#overflowed) return;
    this.#keptBytes += end - from;
    if (this.#keptBytes > this.#maxKeptBytes) {
      this.#overflowed = true;
      this.#kept = [];
      return;
    }
    this.#kept.push(Buffer.from(bytes.subarray(from, end)));
  }

  onIdle(): void {
    this.#receiver?.onIdle();
  }

  onEnd(trailers: Headers | undefined): void {
    this.#end = { trailers };
    this.#receiver?.onEnd(trailers);
  }

  onError(error: ProxyError): void {
    this.#end = { error };
    this.#receiver?.onError(error);
  }
}

/**
 * Bodies on their way through the worker: pushed by the side that reads them,
 * held back by the side that cannot write them fast enough. Every protocol
 * implements these interfaces, so one loop moves all bodies (`proxy/transfer.ts`).
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Headers } from './headers.ts';

/** Takes a body. Exactly one of `onEnd` and `onError` is called, once, and nothing after it. */
export interface BodyReceiver {
  /** The next bytes, `bytes[from..end)`. They are valid only during the call: copy them to keep them. */
  onData(bytes: Buffer, from: number, end: number): void;
  /** Nothing more is at hand just now: a good time to write what has been collected. */
  onIdle(): void;
  onEnd(trailers: Headers | undefined): void;
  onError(error: ProxyError): void;
}

/** A body that is being read from a connection. Nothing flows before `start`. */
export interface IncomingBody {
  /** Bytes in all, as the message declared; `undefined` if only its end will tell. */
  readonly length: number | undefined;
  /** Begins to deliver, possibly all of it before the call returns. At most once. */
  start(receiver: BodyReceiver): void;
  /** Stops reading from the connection soon; what has been read is still delivered. */
  pause(): void;
  resume(): void;
  /** Nobody wants the rest. The connection decides whether to read it or to close. */
  discard(): void;
}

/** A body that is being written to a connection. */
export interface OutgoingBody {
  /** Called when writing may go on after `write` said no. */
  onDrain: (() => void) | undefined;
  /** Takes the bytes before it returns. @returns false: wait for `onDrain` before writing more */
  write(bytes: Buffer, from: number, end: number): boolean;
  /** Hands what was collected to the kernel. */
  flush(): void;
  end(trailers: Headers | undefined): void;
  /** The body cannot be completed: the peer must see that it is cut, never take it for whole. */
  abort(): void;
}

/**
 * A client's connection as a stream of Node's, for services that speak a protocol
 * of their own. Over any transport, so that plain TCP, TLS and Unix sockets are
 * accepted, counted and drained as those of HTTP are.
 *
 * A connection that breaks closes the stream without an `error` event: a listener
 * that somebody has forgotten would end the worker, and anybody can reset a
 * connection. `pipeline` and `finished` notice a close that came too early.
 */
import { Duplex } from 'node:stream';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { ClientAddress } from '../http/exchange.ts';
import type { Transport } from '../transport/transport.ts';
import type { ClientConnection } from './listener.ts';

export interface StreamOptions {
  readonly deadlines: Deadlines;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** Our side stays open when the client has ended its own. */
  readonly allowHalfOpen: boolean;
  /** Once; `error` says why it was an early end, if it was one. */
  readonly onClosed: (error: Error | undefined) => void;
}

type Callback = (error?: Error | null) => void;

export class StreamConnection extends Duplex implements ClientConnection, Expiring {
  readonly client: ClientAddress;
  /** A client of an unknown protocol may lose something with its connection, however quiet it is. */
  readonly isIdle = false;
  deadlineAt = Number.POSITIVE_INFINITY;
  readonly #transport: Transport;
  readonly #options: StreamOptions;
  bytesReceived = 0;
  bytesSent = 0;
  /** The write that waits until the kernel has room. */
  #pending: Callback | undefined;
  #readEnded = false;
  #gone = false;
  #failure: Error | undefined;

  constructor(transport: Transport, options: StreamOptions) {
    // Not destroyed by itself once both sides have ended: what was written last may still be on its way.
    super({ allowHalfOpen: options.allowHalfOpen, autoDestroy: false });
    this.#transport = transport;
    this.#options = options;
    this.client = { address: transport.remoteAddress, port: transport.remotePort };
    // Before the time is read: without anything to look after, it stands still.
    options.deadlines.add(this);
    this.#touch();
  }

  // ── what the listener says ────────────────────────────────────────────────

  /** Nobody knows where a message of the protocol ends: the handler is told, and has the grace period. */
  drain(): void {}

  onDeadline(): void {
    // What waits for the client to take it makes the end an early one.
    if (this.#pending === undefined) this.destroy();
    else this.abort(new Error(`the client took nothing for ${this.#options.idleMs} ms`));
  }

  /** Closes with a reset, so that the client cannot take what it got for complete. */
  abort(error: Error): void {
    this.#failure ??= error;
    this.#transport.reset();
    this.destroy();
  }

  // ── what the transport says ───────────────────────────────────────────────

  onBytes(bytes: Buffer, from: number, end: number): void {
    this.bytesReceived += end - from;
    this.#touch();
    // A copy: the transport reads into the same memory again.
    if (!this.push(Buffer.from(bytes.subarray(from, end)))) this.#transport.pause();
  }

  onEnd(): void {
    this.#readEnded = true;
    this.push(null);
  }

  onBlocked(): void {}

  onWritable(): void {
    this.#touch();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.();
  }

  onClosed(error: Error | undefined): void {
    this.#gone = true;
    this.#options.deadlines.remove(this);
    this.#options.onClosed(this.#failure ?? error);
    // What came before an orderly end can still be read.
    const isOrderly = error === undefined && this.#readEnded && !this.readableEnded;
    if (isOrderly) this.once('end', () => this.destroy());
    else this.destroy();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.(error ?? closedError());
  }

  // ── what the stream asks for ──────────────────────────────────────────────

  override _read(): void {
    if (!this.#gone) this.#transport.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Callback): void {
    if (this.#gone) {
      this.destroy();
      return done(closedError());
    }
    this.bytesSent += bytes.length;
    this.#touch();
    if (this.#transport.writeBytes('', bytes, 0, bytes.length)) done();
    else this.#pending = done;
  }

  override _final(done: Callback): void {
    this.#transport.end();
    done();
  }

  override _destroy(error: Error | null, done: Callback): void {
    if (error === null) this.#transport.destroy();
    else this.#transport.reset();
    done(error);
  }

  #touch(): void {
    this.deadlineAt = this.#options.deadlines.now + this.#options.idleMs;
  }
}

function closedError(): Error {
  return Object.assign(new Error('the client has closed the connection'), { code: 'EPIPE' });
}

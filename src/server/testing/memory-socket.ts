/**
 * The two ends of a connection that exists in this process only. They behave as
 * sockets do: what is written arrives in a later turn of the event loop, in
 * order, and a reader that does not read makes the writer wait.
 */
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import type { SocketAddress } from '../../worker/http/exchange.ts';
import { systemError } from '../../worker/transport/system-error.ts';

type Done = (error?: Error | null) => void;

/** Counts what arrives anywhere, so that one can wait until nothing does. */
export interface Traffic {
  arrivals: number;
}

export class MemorySocket extends Duplex {
  /** Of the other end. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Set as on a socket of Node's: the next `destroy` is a reset. */
  resetAndClosing = false;
  readonly #traffic: Traffic;
  #other: MemorySocket | undefined;
  #hasEnded = false;
  /** A write of the other end that waits for us to read. */
  #heldBack: Done | undefined;

  private constructor({ address, port }: SocketAddress, traffic: Traffic) {
    super();
    this.remoteAddress = address;
    this.remotePort = port;
    this.#traffic = traffic;
  }

  /** @param left who the first one is, as the second one sees it */
  static pair(
    left: SocketAddress,
    right: SocketAddress,
    traffic: Traffic,
  ): [MemorySocket, MemorySocket] {
    const pair: [MemorySocket, MemorySocket] = [
      new MemorySocket(right, traffic),
      new MemorySocket(left, traffic),
    ];
    pair[0].#other = pair[1];
    pair[1].#other = pair[0];
    return pair;
  }

  override _read(): void {
    const done = this.#heldBack;
    this.#heldBack = undefined;
    done?.();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#arrive((other) => other.#take(bytes, done));
  }

  #take(bytes: Buffer, done: Done): void {
    if (!this.destroyed && !this.push(bytes)) return void (this.#heldBack = done);
    done();
    if (this.destroyed) this.#arrive((other) => other.#reset());
  }

  override _final(done: Done): void {
    this.#arrive((other) => {
      other.#end();
      done();
    });
  }

  override _destroy(error: Error | null, done: Done): void {
    const isReset = this.resetAndClosing;
    this.#arrive((other) => {
      if (isReset) other.#reset();
      else other.#end();
    });
    this._read();
    done(error);
  }

  #end(): void {
    if (this.#hasEnded || this.destroyed) return;
    this.#hasEnded = true;
    this.push(null);
  }

  #reset(): void {
    if (!this.destroyed) this.destroy(systemError(-constants.errno.ECONNRESET, 'read'));
  }

  #arrive(happens: (other: MemorySocket) => void): void {
    setImmediate(() => {
      this.#traffic.arrivals += 1;
      happens(this.#other!);
    });
  }

  // ── what HTTP of Node's asks of a socket, and means nothing here ──────────

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

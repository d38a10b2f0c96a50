/**
 * A transport over the bare TCP handle: what nearly every byte goes through.
 *
 * All handles of a worker read into one static buffer: the event loop fills it
 * and calls us before the next handle is read. No buffer is allocated per read,
 * and an idle connection has none. The price is a rule: what was read is valid
 * only during `onBytes`, and is never left with a write that finishes later.
 *
 * So bytes are written at once, by a system call of our own that says how many
 * the kernel took, and only the rest is copied and left to the event loop. On a
 * large body that spares nearly every copy.
 *
 * Text, that is heads and small bodies, waits until every connection that had
 * something to say has been heard in this turn of the event loop, and then leaves
 * together with everybody else's (`end-of-turn.ts`).
 */
import { writeSync, writevSync } from 'node:fs';
import { constants } from 'node:os';
import { atEndOfTurn, type EndOfTurnListener } from './end-of-turn.ts';
import { tcpInternals, type HandleOwner } from './node-internals.ts';
import type { TcpHandle, WriteRequest } from './node-internals.ts';
import { systemError } from './system-error.ts';
import { NOBODY, type Transport, type TransportOwner } from './transport.ts';

/** There wherever somebody has a handle to give us. */
const internals = tcpInternals()!;

/**
 * Large reads spare system calls for large bodies: 64 and 128 KiB cost more, and above this
 * there was no difference that the benchmark could tell.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(512 * 1024);

/** Text beyond this does not wait: a client that sends many requests at once must not fill our memory with answers. */
const MAX_WAITING = 64 * 1024;

/** libuv's UV_EOF. */
const END_OF_FILE = -4095;
const NOT_CONNECTED = -constants.errno.ENOTCONN;
/** What a shutdown returns that had nothing to wait for. */
const DONE_AT_ONCE = 1;

/** Used again by every write that the kernel takes at once, as nearly all are. */
let spareRequest: WriteRequest | undefined;

export interface RemoteAddress {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
}

export class TcpTransport implements Transport, HandleOwner, EndOfTurnListener {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls = undefined;
  handOvers = 0;
  readonly #handle: TcpHandle;
  #owner: TransportOwner = NOBODY;
  /** Text that leaves at the end of this turn, or after what is unfinished. */
  #waiting = '';
  /** Writes that the event loop still has to finish. */
  #unfinished = 0;
  #reading = false;
  #readEnded = false;
  /** `end` was called. */
  #ending = false;
  #writeEnded = false;
  #closing = false;
  #failure: Error | undefined;

  private constructor(handle: TcpHandle, { address, port }: RemoteAddress) {
    this.#handle = handle;
    this.remoteAddress = address;
    this.remotePort = port;
    handle.owner = this;
    handle.onread = onread;
    handle.useUserBuffer(READ_BUFFER);
  }

  /**
   * @param handle a connected one
   * @param remote what it is connected to
   * @param ownerOf called before anything can happen to it
   */
  static over(
    handle: TcpHandle,
    remote: RemoteAddress,
    ownerOf: (transport: Transport) => TransportOwner,
  ): void {
    const transport = new TcpTransport(handle, remote);
    transport.#owner = ownerOf(transport);
    transport.resume();
  }

  // ── reading ───────────────────────────────────────────────────────────────

  onRead(length: number): void {
    if (length > 0) return this.#owner.onBytes(READ_BUFFER, 0, length);
    if (length === 0) return;
    if (length !== END_OF_FILE) return this.#fail(length, 'read');
    this.#readEnded = true;
    this.pause();
    this.#owner.onEnd();
    this.#closeIfEnded();
  }

  pause(): void {
    if (!this.#reading) return;
    this.#reading = false;
    if (!this.#closing) this.#handle.readStop();
  }

  resume(): void {
    if (this.#reading || this.#readEnded || this.#closing) return;
    this.#reading = true;
    const status = this.#handle.readStart();
    if (status !== 0) this.#fail(status, 'read');
  }

  // ── writing ───────────────────────────────────────────────────────────────

  writeText(latin1: string): boolean {
    if (!this.#canWrite()) return true;
    if (this.#waiting === '') atEndOfTurn(this);
    this.#waiting += latin1;
    if (this.#waiting.length > MAX_WAITING) return this.#writeWaiting();
    return this.#unfinished === 0;
  }

  onEndOfTurn(): void {
    // What the event loop still has to finish goes first; its end looks after what waits.
    if (this.#unfinished > 0 || this.#writeWaiting()) return;
    this.#owner.onBlocked();
  }

  /** @returns false: the kernel did not take all of it */
  #writeWaiting(): boolean {
    const text = this.#waiting;
    this.#waiting = '';
    if (text === '' || this.#closing) return true;
    this.handOvers += 1;
    const { WriteWrap, state, WRITE_IS_ASYNC } = internals;
    const request = (spareRequest ??= new WriteWrap());
    const status = this.#handle.writeLatin1String(request, text);
    if (status !== 0) return this.#writeFailed(status);
    return state[WRITE_IS_ASYNC] === 0 || this.#leave(request);
  }

  writeBytes(latin1: string, bytes: Buffer, from: number, end: number): boolean {
    if (!this.#canWrite()) return true;
    const text = this.#waiting + latin1;
    this.#waiting = '';
    this.handOvers += 1;
    const taken = this.#unfinished > 0 ? 0 : this.#tryWrite(text, bytes, from, end);
    if (taken < 0) return true;
    const textTaken = Math.min(taken, text.length);
    const rest = text.length + end - from - taken;
    if (rest === 0) return true;
    const copy = Buffer.allocUnsafeSlow(rest);
    copy.latin1Write(text.slice(textTaken), 0);
    bytes.copy(copy, text.length - textTaken, from + taken - textTaken, end);
    return this.#writeLater(copy);
  }

  get unsentBytes(): number {
    const unfinished = this.#unfinished > 0 ? this.#handle.writeQueueSize : 0;
    return unfinished + this.#waiting.length;
  }

  /** @returns bytes that the kernel took of both; -1 if it failed */
  #tryWrite(latin1: string, bytes: Buffer, from: number, end: number): number {
    const { fd } = this.#handle;
    try {
      if (latin1.length === 0) return writeSync(fd, bytes, from, end - from);
      return writevSync(fd, [Buffer.from(latin1, 'latin1'), bytes.subarray(from, end)]);
    } catch (thrown) {
      const { code, errno = 0 } = thrown as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return 0;
      this.#writeFailed(errno);
      return -1;
    }
  }

  #writeLater(bytes: Buffer): boolean {
    const { WriteWrap, state, WRITE_IS_ASYNC } = internals;
    const request = new WriteWrap();
    const status = this.#handle.writeBuffer(request, bytes);
    if (status !== 0) return this.#writeFailed(status);
    request.buffer = bytes;
    return state[WRITE_IS_ASYNC] === 0 || this.#leave(request);
  }

  /** The event loop finishes it. */
  #leave(request: WriteRequest): false {
    if (request === spareRequest) spareRequest = undefined;
    this.#unfinished += 1;
    request.oncomplete = (status) => {
      this.#unfinished -= 1;
      if (this.#closing) return;
      if (status < 0) this.#writeFailed(status);
      else if (this.#unfinished === 0 && this.#writeWaiting()) this.#wroteWaiting();
    };
    return false;
  }

  /** Nothing is left here. */
  #wroteWaiting(): void {
    if (this.#ending) this.#shutdown();
    this.#owner.onWritable();
  }

  #canWrite(): boolean {
    return !this.#closing && !this.#ending && this.#failure === undefined;
  }

  /**
   * The other side has closed. What it sent before may still be read, such as the
   * early answer to an upload, so closing is left to reading if that is going on.
   */
  #writeFailed(status: number): true {
    this.#failure ??= systemError(status, 'write');
    if (!this.#reading) this.destroy();
    return true;
  }

  // ── the end ───────────────────────────────────────────────────────────────

  end(): void {
    if (this.#ending || this.#closing) return;
    if (!this.#writeWaiting()) this.#owner.onBlocked();
    this.#ending = true;
    if (this.#unfinished === 0) this.#shutdown();
  }

  /** Only when everything has left: a handle that waits to be shut down can no longer be reset. */
  #shutdown(): void {
    if (this.#closing) return;
    const request = new internals.ShutdownWrap();
    request.oncomplete = () => this.#wroteAll();
    const status = this.#handle.shutdown(request);
    if (status === DONE_AT_ONCE) this.#wroteAll();
    else if (status === NOT_CONNECTED) this.destroy();
    else if (status !== 0) this.#fail(status, 'shutdown');
  }

  #wroteAll(): void {
    this.#writeEnded = true;
    this.#closeIfEnded();
  }

  #closeIfEnded(): void {
    const noMoreToWrite = this.#writeEnded || this.#failure !== undefined;
    if (this.#readEnded && noMoreToWrite) this.destroy();
  }

  destroy(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#reading = false;
    this.#handle.close(onclosed);
  }

  reset(): void {
    if (this.#closing) return;
    this.#writeWaiting();
    // What is still queued here would make the kernel close in peace.
    if (this.#handle.reset(onclosed) !== 0) return this.destroy();
    this.#closing = true;
    this.#reading = false;
  }

  #fail(status: number, call: string): void {
    this.#failure ??= systemError(status, call);
    this.destroy();
  }

  onClosed(): void {
    const owner = this.#owner;
    this.#owner = NOBODY;
    owner.onClosed(this.#failure);
  }
}

// One function for all handles: a closure for each would be most of an idle connection's memory.

function onread(this: TcpHandle): void {
  this.owner!.onRead(internals.state[internals.READ]!);
}

function onclosed(this: TcpHandle): void {
  this.owner!.onClosed();
}

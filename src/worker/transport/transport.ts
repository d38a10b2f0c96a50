/**
 * One byte stream to a client or to a peer: the only file that touches
 * `net.Socket` on the data path.
 *
 * Reading goes through one static buffer that all sockets of the worker share
 * (`onread`): no buffer is allocated per read, which saves 2–3 µs per request
 * against `data` events. That is safe because libuv fills it and calls us
 * before the next socket is read; the price is a rule: bytes are valid only
 * during `onBytes`, and the shared buffer is never given to a write, which may
 * finish later. `write` copies for that reason, and text needs no copy at all.
 */
import { connect, Socket, type NetConnectOpts } from 'node:net';

/** The connection that owns a transport, and hears of everything that happens to it. */
export interface TransportOwner {
  /** Bytes `[from, end)` arrived; valid only during the call. */
  onBytes(bytes: Buffer, from: number, end: number): void;
  /** The other side will send no more; writing may still be possible. */
  onEnd(): void;
  /** What was written has left for the kernel; `write` may be called again after it said no. */
  onWritable(): void;
  /** The end of it, exactly once; nothing is called afterwards. */
  onClosed(error: Error | undefined): void;
}

const SHARED_READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Text up to this length is joined and written as a string, which libuv sends without an allocation. */
export const SMALL_WRITE = 16 * 1024 - 256;

/** An accepted TCP handle of Node; its inside is private to Node and to `accept.ts`. */
export type AcceptedHandle = object;

export class Transport {
  readonly #socket: Socket;
  #owner: TransportOwner;

  private constructor(socket: Socket, owner: TransportOwner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.on('end', () => this.#owner.onEnd());
    socket.on('drain', () => this.#owner.onWritable());
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => this.#owner.onClosed(failure));
  }

  /** Over an accepted handle, reading through the shared buffer. */
  static overHandle(
    handle: AcceptedHandle,
    ownerOf: (transport: Transport) => TransportOwner,
  ): Transport {
    const onread = {
      buffer: SHARED_READ_BUFFER,
      callback: (length: number, bytes: Uint8Array) => transport.#received(length, bytes as Buffer),
    };
    const options = { handle, allowHalfOpen: true, readable: true, writable: true, onread };
    const transport: Transport = Transport.#over(new Socket(options as object), ownerOf);
    return transport;
  }

  /** Over a socket that Node has set up itself: TLS, or an accepted one where the handle is out of reach. */
  static overSocket(socket: Socket, ownerOf: (transport: Transport) => TransportOwner): Transport {
    const transport = Transport.#over(socket, ownerOf);
    socket.on('data', (bytes: Buffer) => transport.#owner.onBytes(bytes, 0, bytes.length));
    return transport;
  }

  /** Begins to connect; `onConnected` or the owner's `onClosed` follows. */
  static connect(
    target: NetConnectOpts,
    ownerOf: (transport: Transport) => TransportOwner,
    onConnected: () => void,
  ): Transport {
    const onread = {
      buffer: SHARED_READ_BUFFER,
      callback: (length: number, bytes: Uint8Array) => transport.#received(length, bytes as Buffer),
    };
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true, onread }, onConnected);
    const transport: Transport = Transport.#over(socket, ownerOf);
    return transport;
  }

  static #over(socket: Socket, ownerOf: (transport: Transport) => TransportOwner): Transport {
    const transport = new Transport(socket, NOBODY);
    transport.#owner = ownerOf(transport);
    return transport;
  }

  /** From now on somebody else owns it, and hears of what happens. */
  handTo(owner: TransportOwner): void {
    this.#owner = owner;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unix:';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  /** @returns false: the kernel is full; wait for `onWritable` */
  writeText(latin1: string): boolean {
    return this.#socket.write(latin1, 'latin1');
  }

  /** Copies the bytes first, since they may lie in the shared buffer. @returns as `writeText` */
  writeBytes(bytes: Buffer, from: number, end: number): boolean {
    const copy = Buffer.allocUnsafeSlow(end - from);
    bytes.copy(copy, 0, from, end);
    return this.#socket.write(copy);
  }

  /** Written, but not yet given to the kernel. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Several writes in between leave as one. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what was written, then says that no more will come. */
  end(): void {
    this.#socket.end();
  }

  /** Closes at once; unsent bytes are lost. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes at once with a TCP reset, so that the other side cannot take what it got for complete. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  #received(length: number, bytes: Buffer): boolean {
    this.#owner.onBytes(bytes, 0, length);
    return true;
  }
}

/** Owns what nobody wants. */
export const NOBODY: TransportOwner = {
  onBytes() {},
  onEnd() {},
  onWritable() {},
  onClosed() {},
};

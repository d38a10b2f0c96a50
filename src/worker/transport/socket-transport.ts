/** A transport over a socket that Node has set up: TLS, Unix sockets, or TCP where the handle is out of reach. */
import type { Socket } from 'node:net';
import { NOBODY, type Transport, type TransportOwner } from './transport.ts';

export class SocketTransport implements Transport {
  handOvers = 0;
  readonly #socket: Socket;
  #owner: TransportOwner = NOBODY;

  private constructor(socket: Socket) {
    this.#socket = socket;
    let failure: Error | undefined;
    socket.on('data', (bytes: Buffer) => this.#owner.onBytes(bytes, 0, bytes.length));
    socket.on('end', () => this.#owner.onEnd());
    socket.on('drain', () => this.#owner.onWritable());
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => this.#owner.onClosed(failure));
  }

  /** @param ownerOf called before anything can happen to it */
  static over(socket: Socket, ownerOf: (transport: Transport) => TransportOwner): void {
    const transport = new SocketTransport(socket);
    transport.#owner = ownerOf(transport);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unix:';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  handTo(owner: TransportOwner): void {
    this.#owner = owner;
  }

  writeText(latin1: string): boolean {
    this.handOvers += 1;
    return this.#socket.write(latin1, 'latin1');
  }

  writeBytes(latin1: string, bytes: Buffer, from: number, end: number): boolean {
    this.handOvers += 1;
    // One buffer for both: over TLS each write becomes a record of its own.
    const joined = Buffer.allocUnsafeSlow(latin1.length + end - from);
    joined.latin1Write(latin1, 0);
    bytes.copy(joined, latin1.length, from, end);
    return this.#socket.write(joined);
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

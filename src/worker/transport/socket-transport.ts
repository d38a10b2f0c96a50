/**
 * A transport over a socket that Node has set up: TLS, Unix sockets, TCP where
 * the handle is out of reach, or a stream that a program has made.
 *
 * As over the handle, text waits for the end of the turn. Over TLS that is worth
 * more still: what leaves together is one record, with one nonce, one tag and one
 * call of the kernel.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsFacts } from '../http/exchange.ts';
import { atEndOfTurn, type EndOfTurnListener } from './end-of-turn.ts';
import { closeWithReset, onEndOfTls } from './node-internals.ts';
import { NOBODY, type Transport, type TransportOwner } from './transport.ts';

/** Text beyond this does not wait, as over the handle. */
const MAX_WAITING = 64 * 1024;

/** So much may be on its way before we ask for a pause: two reads of a body. */
const MAX_UNFINISHED = 512 * 1024;

export interface SecuredBy {
  readonly facts: TlsFacts;
  /** The TCP connection below, which alone can be reset; or another stream, which cannot. */
  readonly raw: Duplex;
}

export class SocketTransport implements Transport, EndOfTurnListener {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: TlsFacts | undefined;
  handOvers = 0;
  isCut = false;
  readonly #socket: Duplex;
  readonly #raw: Duplex;
  #owner: TransportOwner = NOBODY;
  #waiting = '';
  #isCalledAtEndOfTurn = false;
  /** Bytes that Node has and the kernel has not taken yet. */
  #unfinished = 0;
  /** The owner was told to wait. */
  #isBlocked = false;
  #paused = false;
  /** The other side has ended while nothing was to arrive. */
  #endIsHeld = false;
  #ending = false;
  /** Node was told that no more will come. */
  #isShutDown = false;
  #failure: Error | undefined;

  private constructor(socket: Duplex, secured: SecuredBy | undefined) {
    this.#socket = socket;
    this.#raw = secured?.raw ?? socket;
    this.tls = secured?.facts;
    // Now, because nobody can say any more once it is closed.
    const { remoteAddress, remotePort } = socket as Partial<Socket>;
    this.remoteAddress = remoteAddress ?? 'unix:';
    this.remotePort = remotePort ?? 0;
    if (secured !== undefined) {
      onEndOfTls(socket, secured.raw, (how) => {
        this.isCut = how === 'cut';
      });
    }
    socket.on('data', (bytes: Buffer) => this.#owner.onBytes(bytes, 0, bytes.length));
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => {
      this.#failure ??= error;
      // A TLS socket whose record was broken says so and stays open.
      socket.destroy();
    });
    socket.on('close', () => {
      const owner = this.#owner;
      this.#owner = NOBODY;
      owner.onClosed(this.#failure);
    });
  }

  /**
   * @param ownerOf called before anything can happen to it
   * @param secured for a TLS socket
   */
  static over(
    socket: Duplex,
    ownerOf: (transport: Transport) => TransportOwner,
    secured?: SecuredBy,
  ): void {
    const transport = new SocketTransport(socket, secured);
    transport.#owner = ownerOf(transport);
  }

  // ── reading ───────────────────────────────────────────────────────────────

  /** Node may have been about to say so when `pause` was called. */
  #ended(): void {
    if (this.#paused) this.#endIsHeld = true;
    else this.#owner.onEnd();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
    if (!this.#endIsHeld) return;
    // Later, as the next bytes would come: the caller does not expect anything yet.
    setImmediate(() => {
      if (this.#paused || !this.#endIsHeld) return;
      this.#endIsHeld = false;
      this.#owner.onEnd();
    });
  }

  // ── writing ───────────────────────────────────────────────────────────────

  writeText(latin1: string): boolean {
    if (this.#ending) return true;
    this.#waiting += latin1;
    if (this.#waiting.length > MAX_WAITING) this.#writeWaiting();
    else this.#callAtEndOfTurn();
    return this.#hasRoom();
  }

  writeBytes(latin1: string, bytes: Buffer, from: number, end: number): boolean {
    if (this.#ending) return true;
    const text = this.#waiting + latin1;
    this.#waiting = '';
    const joined = Buffer.allocUnsafeSlow(text.length + end - from);
    joined.latin1Write(text, 0);
    bytes.copy(joined, text.length, from, end);
    this.#write(joined);
    return this.#hasRoom();
  }

  onEndOfTurn(): void {
    this.#isCalledAtEndOfTurn = false;
    // Written in an earlier turn, and a kernel with room would have taken it by now.
    if (this.#unfinished > 0) this.#block();
    this.#writeWaiting();
  }

  #writeWaiting(): void {
    const text = this.#waiting;
    this.#waiting = '';
    if (text !== '') this.#write(Buffer.from(text, 'latin1'));
  }

  /** Node finishes a write in the turn after it, even if the kernel took everything at once. */
  #write(bytes: Buffer): void {
    this.handOvers += 1;
    this.#unfinished += bytes.length;
    this.#socket.write(bytes, () => this.#written(bytes.length));
    this.#callAtEndOfTurn();
  }

  #written(length: number): void {
    this.#unfinished -= length;
    if (this.#unfinished > 0 || this.#socket.destroyed) return;
    if (this.#ending) this.#shutDown();
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#owner.onWritable();
  }

  get unsentBytes(): number {
    return this.#socket.writableLength + this.#waiting.length;
  }

  #callAtEndOfTurn(): void {
    if (this.#isCalledAtEndOfTurn) return;
    this.#isCalledAtEndOfTurn = true;
    atEndOfTurn(this);
  }

  #hasRoom(): boolean {
    if (this.#unfinished > MAX_UNFINISHED) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  #block(): void {
    if (this.#isBlocked || this.#socket.destroyed) return;
    this.#isBlocked = true;
    this.#owner.onBlocked();
  }

  // ── the end ───────────────────────────────────────────────────────────────

  end(): void {
    if (this.#ending) return;
    this.#writeWaiting();
    this.#ending = true;
    if (this.#unfinished === 0) this.#shutDown();
  }

  /** Only when everything has left: a socket that waits to be shut down can no longer be reset. */
  #shutDown(): void {
    this.#isShutDown = true;
    this.#socket.end();
  }

  destroy(): void {
    this.#ending = true;
    this.#waiting = '';
    this.#socket.destroy();
  }

  reset(): void {
    // A Unix socket has no reset.
    if (this.remotePort !== 0 && !this.#isShutDown) closeWithReset(this.#raw);
    this.destroy();
  }
}

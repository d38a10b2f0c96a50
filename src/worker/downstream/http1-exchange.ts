/**
 * One request on an HTTP/1 connection and the answer to it. It writes head and
 * first body bytes together: two writes per answer cost 9 µs more than one.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody, OutgoingBody } from '../http/body.ts';
import type {
  AbortListener,
  AnswerBody,
  Exchange,
  ExchangeTimeouts,
  ReuseListener,
  SocketAddress,
  TlsFacts,
} from '../http/exchange.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { hasNoBody } from '../http/status.ts';
import { chunkHead, lastChunk, responseHeadText } from '../protocol/http1/encode.ts';
import { agreeFraming } from '../protocol/http1/framing.ts';
import type { ParsedRequest } from '../protocol/http1/request-head.ts';
import { SMALL_WRITE, type Transport } from '../transport/transport.ts';
import type { Http1Connection } from './http1-connection.ts';

type FramedBody = Exclude<AnswerBody, 'undecided' | 'tunnel'>;

/** Leaves room in a small write for the head. */
const MAX_HELD = SMALL_WRITE / 2;

export class Http1Exchange implements Exchange, IncomingBody, OutgoingBody {
  readonly request: RequestHead;
  readonly refusal: ProxyError | undefined;
  readonly upgrade: string | undefined;
  readonly length: number | undefined;
  readonly expectsContinue: boolean;
  bytesReceived = 0;
  bytesSent = 0;
  headSent = false;
  aborted: ProxyError | undefined;
  abortListener: AbortListener | undefined;
  reuseListener: ReuseListener | undefined;
  keepAliveWanted = true;
  onDrain: (() => void) | undefined;
  readonly #connection: Http1Connection;
  readonly #transport: Transport;
  readonly #hasBody: boolean;
  /** As the client asked: phases may ask the peer with another method. */
  readonly #isHead: boolean;
  #keepAlive: boolean;
  #chunked = false;
  /** Body bytes that the head promised and that are still to come; `undefined` without such a promise. */
  #owed: number | undefined;
  /** Text that was not yet given to the kernel: the head, small body pieces, chunk framing. */
  #unsent = '';
  /**
   * The head of an undecided body, as long as all of it that is known waits in `#unsent`: a short
   * one is often at its end before it is written, and then its length is known.
   */
  #heldHead: ResponseHead | undefined;
  #finished = false;
  #tunnel = false;

  constructor(
    connection: Http1Connection,
    transport: Transport,
    parsed: ParsedRequest,
    refusal: ProxyError | undefined,
  ) {
    this.refusal = refusal;
    this.#connection = connection;
    this.#transport = transport;
    this.request = parsed.head;
    this.#isHead = parsed.head.method === 'HEAD';
    // What follows a CONNECT may be anything but the next request (RFC 9110 §9.3.6).
    this.#keepAlive = parsed.keepAlive && parsed.head.method !== 'CONNECT';
    this.expectsContinue = parsed.expectsContinue;
    this.#hasBody = parsed.framing.kind !== 'none';
    // An upgrade with a body would have to wait for the end of it; nobody does that.
    this.upgrade = this.#hasBody ? undefined : parsed.upgrade;
    this.length = parsed.framing.kind === 'length' ? parsed.framing.length : undefined;
  }

  get client(): SocketAddress {
    return this.#connection.client;
  }

  get server(): SocketAddress {
    return this.#connection.server;
  }

  get connectionContext(): unknown {
    return this.#connection.context;
  }

  get isDraining(): boolean {
    return this.#connection.draining;
  }

  get tls(): TlsFacts | undefined {
    return this.#transport.tls;
  }

  get scheme(): 'http' | 'https' {
    return this.#transport.tls === undefined ? 'http' : 'https';
  }

  setTimeouts(timeouts: ExchangeTimeouts): void {
    if (!this.#finished) this.#connection.setTimeouts(timeouts);
  }

  get requestBody(): IncomingBody | undefined {
    return this.#hasBody ? this : undefined;
  }

  // ── the request's body ────────────────────────────────────────────────────

  start(receiver: BodyReceiver): void {
    this.#connection.startBody(receiver);
  }

  pause(): void {
    if (!this.#finished) this.#connection.pauseBody();
  }

  resume(): void {
    if (!this.#finished) this.#connection.resumeBody();
  }

  discard(): void {
    if (!this.#finished) this.#connection.discardBody();
  }

  // ── the answer ────────────────────────────────────────────────────────────

  sendInterim(head: ResponseHead): void {
    // RFC 9110 §15.2: a client of HTTP/1.0 does not know them.
    if (this.headSent || this.#finished || this.request.version === '1.0') return;
    this.#transport.writeText(responseHeadText(head, ''));
  }

  sendHead(head: ResponseHead, body: 'none'): undefined;
  sendHead(head: ResponseHead, body: number | 'unknown' | 'undecided' | 'tunnel'): OutgoingBody;
  sendHead(head: ResponseHead, body: AnswerBody): OutgoingBody | undefined {
    if (this.headSent) throw new Error('a final response head was sent already');
    this.headSent = true;
    if (this.#finished) return body === 'none' ? undefined : IGNORED;
    if (body === 'tunnel') {
      this.#tunnel = true;
      this.#keepAlive = false;
      this.#unsent = responseHeadText(head, '');
      return this;
    }
    // Whoever asked for an upgrade may have sent bytes of the other protocol already.
    const mayGoOn = this.keepAliveWanted && this.upgrade === undefined;
    if (!mayGoOn || !this.#connection.mayKeepAlive()) this.#keepAlive = false;
    if (body === 'undecided' && this.#mayHaveBody(head.status)) {
      this.#heldHead = head;
      return this;
    }
    this.#frameHead(head, body === 'undecided' ? 'unknown' : body);
    if (body !== 'none' && this.#mayHaveBody(head.status)) return this;

    this.#finish();
    return body === 'none' ? undefined : IGNORED;
  }

  /** Puts the head in front of what is not written yet. */
  #frameHead(head: ResponseHead, body: FramedBody): void {
    const framing = this.#frame(head, body);
    const held = this.#unsent;
    this.#unsent = responseHeadText(head, framing + this.#connectionField());
    if (held === '') return;
    this.#unsent += this.#chunked ? `${chunkHead(held.length)}${held}\r\n` : held;
  }

  /** There is more to come than was held back. */
  #frameHeldHead(): void {
    const head = this.#heldHead;
    if (head === undefined) return;
    this.#heldHead = undefined;
    this.#frameHead(head, 'unknown');
  }

  /**
   * Makes the framing fields agree with the body that will follow (RFC 9112 §6),
   * whatever phases have made of them.
   *
   * @returns the lines that are missing
   */
  #frame({ status, headers }: ResponseHead, body: FramedBody): string {
    // An answer to HEAD, and a 304, may name the length of a body that does not follow.
    if (hasNoBody(status) || (this.#isHead && typeof body !== 'number')) {
      headers.delete('transfer-encoding');
      if (status !== 304 && hasNoBody(status)) headers.delete('content-length');
      return '';
    }
    if (typeof body === 'number') this.#owed = body;
    if (body !== 'unknown') return agreeFraming(headers, this.#owed ?? 0);
    this.#chunked = this.request.version === '1.1';
    if (!this.#chunked) this.#keepAlive = false;
    const line = agreeFraming(headers, undefined);
    return this.#chunked ? line : '';
  }

  #mayHaveBody(status: number): boolean {
    return !this.#isHead && !hasNoBody(status);
  }

  #connectionField(): string {
    if (!this.#keepAlive) return 'Connection: close\r\n';
    return this.request.version === '1.0' ? 'Connection: keep-alive\r\n' : '';
  }

  write(bytes: Buffer, from: number, end: number): boolean {
    const length = end - from;
    if (this.#finished || length === 0) return true;
    if (this.#tunnel) this.#connection.tunnelMoved();
    this.#countAgainstPromise(length);
    this.bytesSent += length;
    if (this.#heldHead !== undefined) {
      if (this.#unsent.length + length <= MAX_HELD) {
        this.#unsent += bytes.latin1Slice(from, end);
        return !this.#connection.isWriteBlocked;
      }
      this.#frameHeldHead();
    }
    if (this.#chunked) this.#unsent += chunkHead(length);
    if (this.#unsent.length + length <= SMALL_WRITE) {
      this.#unsent += bytes.latin1Slice(from, end);
      if (this.#chunked) this.#unsent += '\r\n';
      return !this.#connection.isWriteBlocked;
    }
    return this.#writeLarge(bytes, from, end);
  }

  /** Beyond its promise a body would be taken for the next answer by the client. */
  #countAgainstPromise(length: number): void {
    if (this.#owed === undefined) return;
    if (length > this.#owed)
      throw new Error(`the answer has more than its Content-Length of body bytes`);
    this.#owed -= length;
  }

  #writeLarge(bytes: Buffer, from: number, end: number): boolean {
    const text = this.#unsent;
    this.#unsent = this.#chunked ? '\r\n' : '';
    const roomLeft = this.#transport.writeBytes(text, bytes, from, end);
    if (!roomLeft) this.#connection.writeWasBlocked();
    return roomLeft;
  }

  flush(): void {
    if (this.#finished) return;
    this.#frameHeldHead();
    if (this.#unsent.length === 0) return;
    const text = this.#unsent;
    this.#unsent = '';
    if (!this.#transport.writeText(text)) this.#connection.writeWasBlocked();
  }

  startTunnel(): IncomingBody {
    this.#connection.beginTunnel();
    return this;
  }

  end(trailers: Headers | undefined): void {
    if (this.#finished) return;
    if (this.#tunnel) {
      this.flush();
      return this.#connection.halfClose();
    }
    if (this.#heldHead !== undefined) this.#endHeld(this.#heldHead, trailers);
    if (this.#owed !== undefined && this.#owed > 0) return this.abort();
    if (this.#chunked) this.#unsent += lastChunk(trailers);
    this.#finish();
  }

  /** The whole body is at hand; only trailers need chunks (RFC 9112 §7.1.2). */
  #endHeld(head: ResponseHead, trailers: Headers | undefined): void {
    this.#heldHead = undefined;
    this.#frameHead(head, trailers === undefined ? this.#unsent.length : 'unknown');
    this.#owed = undefined;
  }

  #finish(): void {
    this.flush();
    this.#finished = true;
    this.abortListener = undefined;
    if (this.reuseListener !== undefined && this.#keepAlive) {
      this.#connection.context = this.reuseListener.onReuse();
    }
    this.#connection.exchangeEnded(this.#keepAlive);
  }

  abort(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.abortListener = undefined;
    // A reset, not a FIN: a body that ends with the connection would look complete after a FIN.
    this.#transport.reset();
  }

  /** From the connection: both directions of the tunnel have ended. */
  tunnelEnded(): void {
    this.#finished = true;
    this.abortListener = undefined;
  }

  /** From the connection: the client is gone, or as good as gone. */
  connectionClosed(error: ProxyError): void {
    if (this.#finished) return;
    this.#finished = true;
    this.aborted = error;
    const { abortListener } = this;
    this.abortListener = undefined;
    abortListener?.onAborted(error);
  }
}

/** Takes the body of an answer that must not have one, such as the one to a HEAD. */
const IGNORED: OutgoingBody = {
  onDrain: undefined,
  write: () => true,
  flush() {},
  end() {},
  abort() {},
};

/**
 * A client's HTTP/1 connection: reads requests one after the other, gives each
 * as an `Exchange` to the proxy, and decides what becomes of the connection
 * after the answer.
 *
 *   Head        → Body        a head with a body was read
 *               → Answering   a head without a body was read
 *   Body        → Answering   the body was read
 *               → Discarding  the answer is complete, the rest of the body is not wanted
 *   Answering   → Head        the answer is complete; pipelined bytes are read next
 *   Discarding  → Head        the rest was short enough
 *   any         → Lingering   the connection closes: what still arrives is thrown away,
 *                             or the reset it would cause could destroy our answer
 *   Answering   → Body        the answer was a 101: from then on a tunnel
 *   any         → Closed
 *
 * Only one request is given to the proxy at a time. Of what a client pipelines
 * behind it a little is held here; the rest waits in the kernel's buffer.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Expiring } from '../../shared/time/deadlines.ts';
import type { BodyReceiver } from '../http/body.ts';
import type { ExchangeTimeouts, SocketAddress } from '../http/exchange.ts';
import { BodyDecoder } from '../protocol/http1/body-decoder.ts';
import type { ParsedRequest } from '../protocol/http1/request-head.ts';
import { Malformed } from '../protocol/malformed.ts';
import type { Transport, TransportOwner } from '../transport/transport.ts';
import {
  bodyTooLarge,
  headTooLate,
  leftEarly,
  leftMidBody,
  notReadable,
  TooLarge,
  tunnelTooQuiet,
  unreadable,
} from './client-errors.ts';
import { isWorthParsing, kept } from './held-bytes.ts';
import { Http1Exchange } from './http1-exchange.ts';
import type { ConnectionOptions } from './settings.ts';
import { Waits } from './waits.ts';

const Reading = {
  Head: 0,
  Body: 1,
  Answering: 2,
  Discarding: 3,
  Lingering: 4,
  Closed: 5,
} as const;
type Reading = (typeof Reading)[keyof typeof Reading];

/** Of a body that nobody wants, this much is read to keep the connection; a longer rest closes it. */
const MAX_DISCARDED_BYTES = 256 * 1024;

/** How long a closing connection waits for the client to close first. */
const LINGER_MS = 1_000;

/** Of what comes after a request that is still being answered. Beyond this, the kernel's buffer is the queue. */
const MAX_HELD_BYTES = 16 * 1024;

const NEVER = Number.POSITIVE_INFINITY;

export class Http1Connection implements TransportOwner, Expiring {
  deadlineAt = NEVER;
  readonly client: SocketAddress;
  /** What the proxy keeps from one exchange for the next. */
  context: unknown;
  readonly #transport: Transport;
  readonly #options: ConnectionOptions;
  readonly #onClosed: () => void;
  /** Made for the first body; most connections never see one. */
  #bodyDecoder: BodyDecoder | undefined;
  #reading: Reading = Reading.Head;
  #exchange: Http1Exchange | undefined;
  /** Takes the body of the current request; `undefined` until the proxy starts it. */
  #receiver: BodyReceiver | undefined;
  /** Bytes that were read but cannot be used yet: part of a head, or what follows the current request. */
  #held: Buffer | undefined;
  #bodyPaused = false;
  #discarded = 0;
  #draining = false;
  #consuming = false;
  /** What is being dealt with was held before, and is in a buffer of its own. */
  #wasHeld = false;
  /** The client will send no more than has been read. */
  #ended = false;
  /** What the client sent last could not be read to its end, so nothing after it has a meaning. */
  #broken = false;
  /** Bytes behind those that are being dealt with, while they are. */
  #inputLeft = 0;
  #headStarted = false;
  #writeBlocked = false;
  #requests = 0;
  #tunnel = false;
  #halfClosed = false;
  /** Made, as well, when it is needed. */
  #madeWaits: Waits | undefined;
  /** Body bytes of the last answer that was complete: the client may still be taking them. */
  #sentBefore = 0;
  /** Of the last answer, when lingering for it began or went on. */
  #unsentBefore = Number.POSITIVE_INFINITY;
  /** Set while an answer is complete but not yet taken by the client. */
  #keepAliveAfterDrain: boolean | undefined;

  constructor(transport: Transport, options: ConnectionOptions, onClosed: () => void) {
    this.#transport = transport;
    this.#options = options;
    this.#onClosed = onClosed;
    this.client = { address: transport.remoteAddress, port: transport.remotePort };
    // Before the time is read: without anything to look after, it stands still.
    options.deadlines.add(this);
    this.deadlineAt = options.deadlines.now + options.timeouts.requestHeadMs;
  }

  get server(): SocketAddress {
    return this.#options.server;
  }

  get #decoder(): BodyDecoder {
    return (this.#bodyDecoder ??= new BodyDecoder({ kind: 'none' }, this));
  }

  get #waits(): Waits {
    return (this.#madeWaits ??= new Waits(this.#options));
  }

  /** A request is being read or answered. */
  get busy(): boolean {
    return this.#exchange !== undefined || this.#held !== undefined;
  }

  /** It waits for a request, has nothing of one, and owes nothing of an answer. */
  get isIdle(): boolean {
    const isWaiting = this.#reading === Reading.Head && this.#held === undefined;
    return isWaiting && this.#transport.unsentBytes === 0;
  }

  /** The client has not taken yet what was written. */
  get isWriteBlocked(): boolean {
    return this.#writeBlocked;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * The next answer will be the last. An idle connection is left open for
   * `idleMs`, since its next request may already be on its way.
   */
  drain(idleMs: number): void {
    this.#draining = true;
    if (this.busy || this.#reading !== Reading.Head) return;
    this.deadlineAt = Math.min(this.deadlineAt, this.#options.deadlines.now + idleMs);
  }

  /** Closes at once, whatever is going on. */
  destroy(): void {
    this.#transport.destroy();
  }

  // ── what arrives ──────────────────────────────────────────────────────────

  onBytes(bytes: Buffer, from: number, end: number): void {
    if (this.#reading >= Reading.Lingering || this.#broken) return;
    if (this.#held === undefined) return this.#consume(bytes, from, end);

    const added = bytes.subarray(from, end);
    const all = Buffer.concat([this.#held, added]);
    const { limits } = this.#options.headParser;
    if (this.#reading === Reading.Head && !isWorthParsing(added, this.#held.length, limits)) {
      this.#held = all;
      return;
    }
    this.#consumeHeld(all);
  }

  onEnd(): void {
    this.#ended = true;
    switch (this.#reading) {
      case Reading.Head:
      case Reading.Discarding:
      case Reading.Lingering:
        // It may still be taking the last answer; usually it is not.
        return this.#transport.unsentBytes === 0 ? this.#transport.destroy() : this.#close();
      case Reading.Body:
        return this.#bodyInputEnded();
      case Reading.Answering:
      case Reading.Closed:
        return; // a client may close its half and still wait for the answer
    }
  }

  #bodyInputEnded(): void {
    if (this.#reading !== Reading.Body || this.#mayHaveAllOfIt()) return;
    if (this.#tunnel) return this.#tunnelInputEnded();
    this.#bodyBroke(leftMidBody(this.client.address));
  }

  /** A body that nobody reads yet can all be here; one in chunks shows it only to its reader. */
  #mayHaveAllOfIt(): boolean {
    if (this.#receiver !== undefined) return false;
    const { length = 0, bytesReceived = 0 } = this.#exchange ?? {};
    return (this.#held?.length ?? 0) + this.#inputLeft >= length - bytesReceived;
  }

  #tunnelInputEnded(): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    this.#decoder.endOfInput();
    this.deadlineAt = this.#tunnelDeadline();
    receiver?.onEnd(undefined);
    this.#endTunnelIfDone();
  }

  onBlocked(): void {
    this.writeWasBlocked();
    // The answer was complete, and the next request is already being waited for.
    if (this.#exchange === undefined && this.#reading === Reading.Head) {
      this.#reading = Reading.Answering;
      this.#keepAliveAfterDrain = true;
    }
  }

  onWritable(): void {
    this.#writeBlocked = false;
    this.#madeWaits?.stopAnswer();
    if (this.#keepAliveAfterDrain !== undefined)
      return this.#afterAnswer(this.#keepAliveAfterDrain);
    if (this.#reading === Reading.Lingering)
      this.deadlineAt = this.#options.deadlines.now + LINGER_MS;
    if (this.#exchange === undefined) return;
    this.deadlineAt = this.#reading === Reading.Body ? this.#bodyDeadline() : NEVER;
    this.#exchange.onDrain?.();
  }

  onClosed(): void {
    this.#reading = Reading.Closed;
    this.#options.deadlines.remove(this);
    this.#held = undefined;
    const error = leftEarly(this.client.address);
    const receiver = this.#receiver;
    const exchange = this.#exchange;
    this.#receiver = undefined;
    this.#exchange = undefined;
    this.#onClosed();
    receiver?.onError(error);
    exchange?.connectionClosed(error);
  }

  onDeadline(): void {
    // The end of its last answer has rules of its own.
    const isLingering = this.#reading === Reading.Lingering;
    if (this.#writeBlocked && !isLingering) return this.#writeTimedOut();
    switch (this.#reading) {
      case Reading.Head:
        if (this.#held === undefined) return this.#close();
        return this.#refuse(headTooLate());
      case Reading.Body:
        if (this.#tunnel) return this.#tunnelTimedOut();
        return this.#bodyBroke(this.#waits.bodyError(this.client.address, this.#bytesReceived));
      case Reading.Answering:
        return;
      case Reading.Discarding:
        return this.#close();
      case Reading.Lingering:
        return this.#lingerTimedOut();
      case Reading.Closed:
        return this.#transport.destroy();
    }
  }

  /** A client that is slow to take the end of its last answer has as much time for it as for the rest. */
  #lingerTimedOut(): void {
    const unsent = this.#transport.unsentBytes;
    if (unsent === 0) return this.#transport.destroy();
    if (unsent >= this.#unsentBefore) return this.#transport.reset();
    this.#unsentBefore = unsent;
    this.deadlineAt = this.#options.deadlines.now + this.#options.timeouts.responseWriteMs;
  }

  #writeTimedOut(): void {
    const error = this.#waits.answerError(this.client.address, this.#bytesSent);
    this.#exchange?.connectionClosed(error);
    this.#transport.reset();
  }

  #tunnelTimedOut(): void {
    const { tunnelIdleMs } = this.#options.timeouts;
    this.#exchange?.connectionClosed(tunnelTooQuiet(this.client.address, tunnelIdleMs));
    this.#transport.destroy();
  }

  // ── reading requests ──────────────────────────────────────────────────────

  #consumeHeld(held: Buffer): void {
    this.#held = undefined;
    this.#wasHeld = true;
    this.#consume(held, 0, held.length);
  }

  #consume(bytes: Buffer, from: number, end: number): void {
    this.#consuming = true;
    try {
      this.#consumeAll(bytes, from, end);
      if (this.#reading === Reading.Body) this.#receiver?.onIdle();
    } catch (thrown) {
      if (thrown instanceof TooLarge) this.#bodyBroke(bodyTooLarge('more', thrown.maxBytes));
      else if (thrown instanceof Malformed) this.#malformed(thrown);
      else throw thrown;
    } finally {
      this.#consuming = false;
      this.#wasHeld = false;
      this.#inputLeft = 0;
    }
    if (this.#ended) this.#bodyInputEnded();
  }

  #consumeAll(bytes: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      switch (this.#reading) {
        case Reading.Head: {
          const next = this.#options.headParser.parse(bytes, from, end);
          if (next < 0) return this.#holdHead(bytes, from, end);
          from = next;
          this.#inputLeft = end - from;
          this.#begin();
          break;
        }
        case Reading.Body:
          if (this.#receiver === undefined) return this.#hold(bytes, from, end);
          from = this.#decoder.decode(bytes, from, end);
          this.#inputLeft = end - from;
          this.#bodyProgressed();
          break;
        case Reading.Discarding:
          from = this.#discard(bytes, from, end);
          break;
        case Reading.Answering:
          return this.#hold(bytes, from, end);
        case Reading.Lingering:
        case Reading.Closed:
          return;
      }
    }
  }

  #holdHead(bytes: Buffer, from: number, end: number): void {
    // The first byte of a head starts its time; further bytes must not extend it.
    if (!this.#headStarted) {
      this.#headStarted = true;
      this.deadlineAt = this.#options.deadlines.now + this.#options.timeouts.requestHeadMs;
    }
    this.#held = kept(bytes, from, end, this.#wasHeld);
  }

  /** Keeps the bytes for later. While there are few, reading goes on: it would show that the client leaves. */
  #hold(bytes: Buffer, from: number, end: number): void {
    this.#held = kept(bytes, from, end, this.#wasHeld);
    if (this.#held.length > MAX_HELD_BYTES) this.#transport.pause();
  }

  #begin(): void {
    const parsed = this.#options.headParser.take();
    this.#headStarted = false;
    this.#receiver = undefined;
    this.#madeWaits?.reset();
    if (parsed.framing.kind === 'none') {
      this.#reading = Reading.Answering;
      this.deadlineAt = NEVER;
    } else {
      this.#reading = Reading.Body;
      this.#decoder.reset(parsed.framing);
      this.#bodyPaused = false;
      this.deadlineAt = this.#bodyDeadline();
    }
    this.#requests += 1;
    this.#handle(parsed, this.#refusalOf(parsed));
  }

  #handle(parsed: ParsedRequest, refusal: ProxyError | undefined): void {
    const exchange = new Http1Exchange(this, this.#transport, parsed, refusal);
    this.#exchange = exchange;
    this.#options.handle(exchange);
  }

  /** A body that says how long it is can be refused before it is read. */
  #refusalOf({ framing }: ParsedRequest): ProxyError | undefined {
    const { maxBodyBytes } = this.#options.limits;
    if (framing.kind !== 'length' || framing.length <= maxBodyBytes) return undefined;
    return bodyTooLarge(framing.length, maxBodyBytes);
  }

  #tunnelDeadline(): number {
    return this.#options.deadlines.now + this.#options.timeouts.tunnelIdleMs;
  }

  #bodyDeadline(): number {
    if (this.#tunnel) return this.#tunnelDeadline();
    // While nobody takes the body it is not the client who is slow.
    if (this.#receiver === undefined || this.#bodyPaused) return NEVER;
    return this.#waits.forBody(this.#bytesReceived);
  }

  #bodyProgressed(): void {
    if (this.#reading !== Reading.Body) return;
    const receiver = this.#receiver;
    if (!this.#decoder.done) {
      this.deadlineAt = this.#bodyDeadline();
      return;
    }
    this.#reading = Reading.Answering;
    this.deadlineAt = NEVER;
    this.#receiver = undefined;
    // Whoever asked for a pause has all of the body, and will not ask for more.
    this.#transport.resume();
    receiver?.onEnd(this.#decoder.trailers);
  }

  /** Body bytes from the decoder. */
  onData(bytes: Buffer, from: number, end: number): void {
    if (this.#reading === Reading.Discarding) return;
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      exchange.bytesReceived += end - from;
      const { maxBodyBytes } = this.#options.limits;
      if (exchange.bytesReceived > maxBodyBytes && !this.#tunnel) throw new TooLarge(maxBodyBytes);
    }
    this.#receiver?.onData(bytes, from, end);
  }

  #discard(bytes: Buffer, from: number, end: number): number {
    const next = this.#decoder.decode(bytes, from, end);
    this.#discarded += next - from;
    if (this.#decoder.done) this.#nextRequest();
    else if (this.#discarded > MAX_DISCARDED_BYTES) this.#close();
    return next;
  }

  // ── for the exchange ──────────────────────────────────────────────────────

  startBody(receiver: BodyReceiver): void {
    this.#receiver = receiver;
    this.deadlineAt = this.#bodyDeadline();
    // Inside the loop that read the head, the loop itself goes on with the body.
    if (this.#consuming) return;
    if (this.#held === undefined) receiver.onIdle();
    else this.#readHeld();
    // The client ended its half while the peer was still being asked.
    if (this.#ended) this.#bodyInputEnded();
  }

  pauseBody(): void {
    this.#bodyPaused = true;
    if (!this.#writeBlocked) this.deadlineAt = NEVER;
    this.#madeWaits?.stopBody();
    this.#transport.pause();
  }

  resumeBody(): void {
    this.#bodyPaused = false;
    if (this.#reading === Reading.Body) this.deadlineAt = this.#bodyDeadline();
    this.#transport.resume();
  }

  /** The proxy does not want the rest of the body; what happens to it is decided after the answer. */
  discardBody(): void {
    this.#receiver = undefined;
  }

  /** Whether the connection could carry another request after an answer that starts now. */
  mayKeepAlive(): boolean {
    if (this.#draining || !this.#mayBeAskedMore()) return false;
    if (this.#requests >= this.#options.limits.maxRequests) return false;
    if (this.#reading !== Reading.Body) return true;
    // A client that waits for a 100 may or may not send its body after another answer (RFC 9110 §10.1.1).
    if (this.#exchange?.expectsContinue === true && this.#exchange.bytesReceived === 0)
      return false;
    const { length = 0, bytesReceived = 0 } = this.#exchange ?? {};
    return length - bytesReceived <= MAX_DISCARDED_BYTES;
  }

  #mayBeAskedMore(): boolean {
    if (this.#broken || this.#reading >= Reading.Lingering) return false;
    return !this.#ended || this.#held !== undefined || this.#inputLeft > 0;
  }

  writeWasBlocked(): void {
    this.#writeBlocked = true;
    this.deadlineAt = this.#waits.forAnswer(this.#bytesSent);
  }

  get #bytesReceived(): number {
    return this.#exchange?.bytesReceived ?? 0;
  }

  get #bytesSent(): number {
    return this.#exchange?.bytesSent ?? this.#sentBefore;
  }

  /** For the current request only. */
  setTimeouts(timeouts: ExchangeTimeouts): void {
    this.#waits.change(timeouts);
    if (this.#reading === Reading.Body) this.deadlineAt = this.#bodyDeadline();
  }

  /** The answer is complete. */
  exchangeEnded(keepAlive: boolean): void {
    this.#sentBefore = this.#bytesSent;
    this.#exchange = undefined;
    this.#receiver = undefined;
    // Until the client has taken this answer it gets no other: else one that pipelines
    // requests and never reads could fill our memory with answers.
    if (this.#writeBlocked) this.#keepAliveAfterDrain = keepAlive;
    else this.#afterAnswer(keepAlive);
  }

  #afterAnswer(keepAlive: boolean): void {
    this.#keepAliveAfterDrain = undefined;
    if (!keepAlive || !this.#mayBeAskedMore()) return this.#close();
    if (this.#reading === Reading.Body) {
      this.#reading = Reading.Discarding;
      this.#discarded = 0;
      this.deadlineAt = this.#options.deadlines.now + this.#options.timeouts.requestBodyMs;
      this.#transport.resume();
      this.#readHeld();
      // The rest of the body will not come.
      if (this.#ended && this.#reading === Reading.Discarding) this.#close();
      return;
    }
    this.#nextRequest();
    this.#readHeld();
  }

  #nextRequest(): void {
    this.#reading = Reading.Head;
    const { deadlines, timeouts } = this.#options;
    this.deadlineAt = deadlines.now + (this.#draining ? LINGER_MS : timeouts.keepAliveMs);
  }

  /** Goes on with bytes that had to wait, unless the loop that held them is still running. */
  #readHeld(): void {
    if (this.#consuming) return;
    if (this.#held === undefined) return;
    this.#transport.resume();
    this.#consumeHeld(this.#held);
  }

  // ── tunnels ───────────────────────────────────────────────────────────────

  /** From now on bytes mean nothing to us. */
  beginTunnel(): void {
    this.#tunnel = true;
    this.#halfClosed = false;
    this.#reading = Reading.Body;
    this.#decoder.reset({ kind: 'until-close' });
  }

  /** Something went to the client: the tunnel is in use. */
  tunnelMoved(): void {
    this.deadlineAt = this.#bodyDeadline();
  }

  /** The peer has said all it will; the client may go on. */
  halfClose(): void {
    this.#halfClosed = true;
    this.#transport.end();
    this.#endTunnelIfDone();
  }

  #endTunnelIfDone(): void {
    if (!this.#halfClosed || !this.#decoder.done) return;
    this.#exchange?.tunnelEnded();
    this.#exchange = undefined;
    this.#close();
  }

  // ── the end ───────────────────────────────────────────────────────────────

  #malformed(malformed: Malformed): void {
    const error = notReadable(malformed);
    if (this.#reading === Reading.Body) return this.#bodyBroke(error);
    if (this.#reading === Reading.Discarding) return this.#close();
    this.#refuse(error);
  }

  /** The rest of the body will never come; the proxy answers if it still can, and the connection ends. */
  #bodyBroke(error: ProxyError): void {
    this.#broken = true;
    this.#reading = Reading.Answering;
    this.deadlineAt = NEVER;
    const receiver = this.#receiver;
    this.#receiver = undefined;
    if (receiver !== undefined) return receiver.onError(error);
    this.#exchange?.connectionClosed(error);
    this.#transport.reset();
  }

  /** What could not be read is answered like any other request, and nothing is read after it. */
  #refuse(error: ProxyError): void {
    this.#reading = Reading.Answering;
    this.deadlineAt = NEVER;
    this.#receiver = undefined;
    this.#held = undefined;
    this.#broken = true;
    this.#handle(unreadable(), error);
  }

  #close(): void {
    if (this.#reading >= Reading.Lingering) return;
    this.#reading = Reading.Lingering;
    this.#held = undefined;
    this.deadlineAt = this.#options.deadlines.now + LINGER_MS;
    this.#transport.end();
    this.#transport.resume();
  }
}

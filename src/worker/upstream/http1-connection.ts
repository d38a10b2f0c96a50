/**
 * A connection to a peer that speaks HTTP/1.1, answering one request at a time.
 * If its upstream asks for pipelining, more requests may be sent behind that one.
 *
 *   Idle       → AwaitingHead  a request is on its way
 *   AwaitingHead → Body        the final head has come, with a body to follow
 *   AwaitingHead → Idle        the final head has come, without a body
 *   Body       → Idle          the body is complete
 *   any        → Closed
 *
 * It returns to the pool only if request and response are both complete and
 * nothing unexpected was read; in every other case it is closed, because the
 * next response on it could belong to somebody else's request.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { ErrorCode } from '../../shared/errors/catalog.ts';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { BodyReceiver, IncomingBody, OutgoingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';
import { knownNames } from '../http/known-names.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { BodyDecoder } from '../protocol/http1/body-decoder.ts';
import { chunkHead, lastChunk, requestHeadText } from '../protocol/http1/encode.ts';
import { agreeFraming, FRAMING_FIELDS } from '../protocol/http1/framing.ts';
import { ResponseHeadParser } from '../protocol/http1/response-head.ts';
import { Malformed } from '../protocol/malformed.ts';
import { SMALL_WRITE, type Transport, type TransportOwner } from '../transport/transport.ts';
import type { PeerConnection } from './peer-connection.ts';
import type { HttpPeer } from './peer.ts';
import { Discarding, Pipeline } from './pipeline.ts';
import type { ResponseReceiver } from './response-receiver.ts';
import { checkUpgrade } from './upgrade.ts';

const State = { Idle: 0, AwaitingHead: 1, Body: 2, Closed: 3 } as const;
type State = (typeof State)[keyof typeof State];

/** A peer that sends interim answers without end would keep a request open for ever. */
const MAX_INTERIM_HEADS = 32;
const UPGRADE = knownNames('upgrade');
const NEVER = Number.POSITIVE_INFINITY;
const CUT = new Error('TCP ended without an end of TLS');

/** One for all connections: it holds nothing of a head between two calls. */
const PARSER = new ResponseHeadParser();

export interface ConnectionEvents {
  /** Both messages are complete: the connection can carry another request. */
  onReusable(connection: UpstreamConnection): void;
  /** It is gone; if it was pooled it must not be found again. */
  onGone(connection: UpstreamConnection): void;
}

export class UpstreamConnection implements TransportOwner, Expiring, IncomingBody, OutgoingBody {
  readonly peer: HttpPeer;
  /** Connections with equal keys are interchangeable. */
  readonly poolKey: string;
  deadlineAt = NEVER;
  /** When it went into the pool, in milliseconds on the scale of the deadlines. */
  restsSince = 0;
  onDrain: (() => void) | undefined;
  length: number | undefined;
  /** How many requests it carried before the current one. */
  useCount = -1;
  readonly #transport: Transport;
  readonly #deadlines: Deadlines;
  readonly #events: ConnectionEvents;
  readonly #decoder: BodyDecoder;
  #state: State = State.Idle;
  /** Whose request is being answered, or still being sent. */
  #holder: ResponseReceiver | undefined;
  /** The same, until it has the final head. */
  #requester: ResponseReceiver | undefined;
  #receiver: BodyReceiver | undefined;
  #held: Buffer | undefined;
  #method = '';
  #keepAlive = true;
  #requestComplete = true;
  #chunked = false;
  #unsent = '';
  #interimHeads = 0;
  #gotBytes = false;
  /** Of the transport, when the request was written. */
  #handOversBefore = 0;
  #consuming = false;
  /** The protocols that the request asked for. */
  #askedUpgrade: string | undefined;
  #tunnel = false;
  #writeBlocked = false;
  #paused = false;
  /** The peer has finished, but the proxy has not yet taken what it sent. */
  #endIsHeld = false;
  #failure: ProxyError | undefined;
  /** It has kept the connection open after an answer, so requests may be sent ahead of answers. */
  #isPersistent = false;
  /** The request that is being answered has nothing that those behind it could come to harm by. */
  #isShareable = false;
  #factsAsReused: PeerConnection | undefined;
  readonly #pipeline = new Pipeline();

  constructor(
    peer: HttpPeer,
    transport: Transport,
    deadlines: Deadlines,
    events: ConnectionEvents,
    poolKey = peer.poolKey,
  ) {
    this.peer = peer;
    this.poolKey = poolKey;
    this.#transport = transport;
    this.#deadlines = deadlines;
    this.#events = events;
    this.#decoder = new BodyDecoder({ kind: 'none' }, this);
    deadlines.add(this);
  }

  get isIdle(): boolean {
    return this.#state === State.Idle;
  }

  /** It carried a request before, so the peer may be closing it just now. */
  get isReused(): boolean {
    return this.useCount > 0;
  }

  /** For the request that it was made for. */
  get asNew(): PeerConnection {
    return this.#facts(false);
  }

  /** For every later one. */
  get asReused(): PeerConnection {
    return (this.#factsAsReused ??= this.#facts(true));
  }

  #facts(isReused: boolean): PeerConnection {
    const { remoteAddress, tls } = this.#transport;
    return { isReused, remoteAddress, tls };
  }

  /** In the pool from now on: until when it may stay there. */
  rest(): void {
    this.restsSince = this.#deadlines.now;
    this.deadlineAt = this.#deadlines.now + this.peer.idleTimeoutMs;
  }

  /** Another request may be sent behind those that are not answered yet. */
  get hasRoom(): boolean {
    return (
      this.#isPersistent &&
      this.#isShareable &&
      this.#keepAlive &&
      !this.#paused &&
      !this.#writeBlocked &&
      this.#state !== State.Idle &&
      this.#state !== State.Closed &&
      this.#pipeline.length + 1 < this.peer.pipelining
    );
  }

  /**
   * Sends a request head; its body, if any, follows through this object as an `OutgoingBody`.
   *
   * @param body only its length is looked at, for the framing fields
   * @param requester hears of the response, not before this returns
   * @param isShareable others may be sent behind it, and it behind others: it has
   *   no body, asks for no upgrade, and may be sent again if the connection ends
   */
  send(
    head: RequestHead,
    body: IncomingBody | undefined,
    requester: ResponseReceiver,
    isShareable: boolean,
  ): void {
    this.useCount += 1;
    if (this.#state !== State.Idle) {
      const { handOvers } = this.#transport;
      this.#pipeline.push({ requester, method: head.method, handOvers });
      if (!head.headers.lacks(FRAMING_FIELDS)) agreeFraming(head.headers, 0);
      this.#unsent += requestHeadText(head, '');
      return this.flush();
    }
    this.#awaitAnswer(requester, head.method, this.#transport.handOvers);
    this.#askedUpgrade = head.headers.lacks(UPGRADE) ? undefined : head.headers.get('upgrade');
    this.#isShareable = isShareable;
    this.#keepAlive = true;
    this.#requestComplete = body === undefined;
    this.#chunked = body !== undefined && body.length === undefined;
    let framing = '';
    if (body !== undefined) framing = agreeFraming(head.headers, body.length);
    else if (!head.headers.lacks(FRAMING_FIELDS)) agreeFraming(head.headers, 0);
    this.#unsent = requestHeadText(head, framing);
    this.#armRead();
    if (body === undefined) this.flush();
  }

  #awaitAnswer(requester: ResponseReceiver, method: string, handOvers: number): void {
    this.#holder = requester;
    this.#requester = requester;
    this.#method = method;
    this.#handOversBefore = handOvers;
    this.#state = State.AwaitingHead;
    this.#gotBytes = false;
    this.#interimHeads = 0;
  }

  /** That request does not want its response any more, or the rest of it. Others are not harmed. */
  release(requester: ResponseReceiver): void {
    if (this.#pipeline.abandon(requester)) return;
    // It had all of its response, and somebody else may be waiting for one by now.
    if (requester !== this.#holder) return;
    if (this.#pipeline.length === 0) return this.close();
    const nobody = new Discarding();
    if (this.#state === State.AwaitingHead) this.#requester = nobody;
    else nobody.take(this);
  }

  /** Ends the connection in the middle of whatever it does; its own request is not told. */
  close(): void {
    this.#requester = undefined;
    this.#receiver = undefined;
    this.onDrain = undefined;
    this.#keepAlive = false;
    this.#transport.destroy();
    this.#failPipeline();
  }

  /** Requests that the peer may have seen, but has not begun to answer. */
  #failPipeline(): void {
    const detail = `${this.peer.address} closed before it answered a pipelined request`;
    this.#pipeline.fail(() => new ProxyError('upstream/idle-connection-closed', detail));
  }

  // ── the request's body ────────────────────────────────────────────────────

  write(bytes: Buffer, from: number, end: number): boolean {
    const length = end - from;
    if (this.#state === State.Closed || length === 0) return true;
    if (this.#chunked) this.#unsent += chunkHead(length);
    if (this.#unsent.length + length <= SMALL_WRITE) {
      this.#unsent += bytes.latin1Slice(from, end);
      if (this.#chunked) this.#unsent += '\r\n';
      return !this.#writeBlocked;
    }
    const text = this.#unsent;
    this.#unsent = this.#chunked ? '\r\n' : '';
    const roomLeft = this.#transport.writeBytes(text, bytes, from, end);
    if (!roomLeft) this.#blocked();
    return roomLeft;
  }

  flush(): void {
    if (this.#unsent.length === 0 || this.#state === State.Closed) return;
    const text = this.#unsent;
    this.#unsent = '';
    if (!this.#transport.writeText(text)) this.#blocked();
  }

  end(trailers: Headers | undefined): void {
    if (this.#requestComplete) return;
    this.#requestComplete = true;
    if (this.#chunked) this.#unsent += lastChunk(trailers);
    this.flush();
    if (this.#tunnel) return this.#halfClose();
    if (this.#state === State.Idle) this.#settle(false);
    else this.#armRead();
  }

  abort(): void {
    this.close();
  }

  /** The client has said all it will; the peer may go on. */
  #halfClose(): void {
    this.#transport.end();
    if (this.#state !== State.Idle) return;
    this.#receiver = undefined;
    this.#awaitTaken();
  }

  /** Both sides of a tunnel have said all they will; the peer may still be taking the end of it. */
  #awaitTaken(): void {
    this.deadlineAt = this.#deadlines.now + this.peer.writeTimeoutMs;
  }

  #blocked(): void {
    this.#writeBlocked = true;
    this.deadlineAt = this.#deadlines.now + this.peer.writeTimeoutMs;
  }

  // ── the response's body ───────────────────────────────────────────────────

  start(receiver: BodyReceiver): void {
    this.#receiver = receiver;
    if (this.#failure !== undefined) return receiver.onError(this.#failure);
    const held = this.#held;
    this.#held = undefined;
    if (this.#paused) this.resume();
    // Inside the loop that read the head, the loop itself goes on with the body.
    if (this.#consuming) return;
    if (held === undefined) receiver.onIdle();
    else this.#consume(held, 0, held.length);
    if (this.#endIsHeld) this.onEnd();
  }

  pause(): void {
    this.#paused = true;
    if (!this.#writeBlocked) this.deadlineAt = NEVER;
    this.#transport.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#armRead();
    this.#transport.resume();
  }

  /** A rest that nobody wants could be endless, so the connection ends instead. */
  discard(): void {
    this.close();
  }

  // ── what arrives ──────────────────────────────────────────────────────────

  onBytes(bytes: Buffer, from: number, end: number): void {
    if (this.#state === State.AwaitingHead || this.#state === State.Body) this.#armRead();
    if (this.#held === undefined) return this.#consume(bytes, from, end);
    const all = Buffer.concat([this.#held, bytes.subarray(from, end)]);
    this.#held = undefined;
    this.#consume(all, 0, all.length);
  }

  #armRead(): void {
    // Then another deadline counts: to take what was written, or to end.
    const isOver = this.#state === State.Idle && this.#requestComplete;
    if (this.#writeBlocked || isOver) return;
    // While the request is still being sent, it is the client that the peer waits for.
    // Silence means nothing in a tunnel; its other end watches over it.
    const isAwaited = this.#requestComplete && !this.#paused && !this.#tunnel;
    this.deadlineAt = isAwaited ? this.#deadlines.now + this.peer.readTimeoutMs : NEVER;
  }

  #consume(bytes: Buffer, from: number, end: number): void {
    this.#consuming = true;
    try {
      this.#consumeAll(bytes, from, end);
      if (this.#state === State.Body) this.#receiver?.onIdle();
    } catch (thrown) {
      if (!(thrown instanceof Malformed)) throw thrown;
      this.#fail('upstream/malformed-message', thrown.message, thrown);
    } finally {
      this.#consuming = false;
    }
  }

  #consumeAll(bytes: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      switch (this.#state) {
        case State.AwaitingHead: {
          // They were on their way before the request was: somebody's, but not its answer.
          if (this.#transport.handOvers === this.#handOversBefore) {
            return this.#fail('upstream/unasked-bytes', 'sent bytes before it was asked anything');
          }
          this.#gotBytes = true;
          const next = PARSER.parse(bytes, from, end, this.#method);
          if (next < 0) {
            this.#held = Buffer.from(bytes.subarray(from, end));
            return;
          }
          from = next;
          this.#headArrived(from < end);
          break;
        }
        case State.Body:
          if (this.#receiver === undefined) return this.#hold(bytes, from, end);
          from = this.#decoder.decode(bytes, from, end);
          if (this.#decoder.done) this.#bodyComplete(from < end);
          break;
        case State.Idle:
          // A peer that talks when nobody asked: what it says could be taken for an answer.
          return this.#fail('upstream/unasked-bytes', 'sent bytes that no request asked for');
        case State.Closed:
          return;
      }
    }
  }

  /** The proxy has the head but not started the body: keep what came with the head, read no more. */
  #hold(bytes: Buffer, from: number, end: number): void {
    this.#held = Buffer.from(bytes.subarray(from, end));
    // Often the proxy starts the body before anything else can arrive; pausing costs a system call then.
    if (this.#held.length >= 16 * 1024) this.pause();
  }

  /** @param more bytes follow: the body's, or some that nobody asked for */
  #headArrived(more: boolean): void {
    const parsed = PARSER.take();
    if (parsed.head.status === 101) return this.#upgraded(parsed.head);
    if (parsed.head.status < 200) return this.#interim(parsed.head);
    this.#keepAlive = parsed.keepAlive;
    const { framing } = parsed;
    this.#decoder.reset(framing);
    const requester = this.#requester;
    this.#requester = undefined;
    this.#receiver = undefined;
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)) {
      this.#state = State.Idle;
      this.#settle(more);
      requester?.onResponse(parsed.head, undefined);
      return;
    }
    this.#state = State.Body;
    this.length = framing.kind === 'length' ? framing.length : undefined;
    requester?.onResponse(parsed.head, this);
  }

  #upgraded(head: ResponseHead): void {
    checkUpgrade(this.#askedUpgrade, head.headers.get('upgrade'));
    const requester = this.#requester;
    this.#requester = undefined;
    this.#receiver = undefined;
    this.#tunnel = true;
    this.#keepAlive = false;
    this.#requestComplete = false;
    this.#chunked = false;
    this.#decoder.reset({ kind: 'until-close' });
    this.#state = State.Body;
    this.length = undefined;
    this.#armRead();
    requester?.onUpgraded(head, this);
  }

  #interim(head: ResponseHead): void {
    this.#interimHeads += 1;
    if (this.#interimHeads > MAX_INTERIM_HEADS) {
      throw new Malformed(`expected at most ${MAX_INTERIM_HEADS} interim responses, got more`);
    }
    this.#requester?.onInterim(head);
  }

  /** @param more bytes follow that nobody asked for */
  #bodyComplete(more: boolean): void {
    const receiver = this.#receiver;
    // While the other half of a tunnel goes on, somebody must hear of it if it breaks.
    const isHalf = this.#tunnel && !this.#requestComplete;
    if (!isHalf) this.#receiver = undefined;
    this.#state = State.Idle;
    // Whoever asked for the pause has all of it, and will not ask for more.
    if (this.#paused) this.resume();
    const { trailers } = this.#decoder;
    this.#settle(more);
    receiver?.onEnd(trailers);
  }

  /** Response complete: the connection is free once the request is, too. */
  #settle(more: boolean): void {
    if (!this.#writeBlocked) this.deadlineAt = NEVER;
    const behind = this.#pipeline.length;
    // What follows a complete response could be taken for the answer to the next request.
    if (more && behind === 0) this.#keepAlive = false;
    // Half of a tunnel: the other direction closes it.
    if (this.#tunnel) return this.#requestComplete ? this.#awaitTaken() : undefined;
    if (!this.#keepAlive) {
      this.#transport.destroy();
      return this.#failPipeline();
    }
    this.#isPersistent = true;
    if (behind > 0) {
      const { requester, method, handOvers } = this.#pipeline.next()!;
      this.#awaitAnswer(requester, method, handOvers);
      this.#armRead();
    } else if (this.#requestComplete) {
      this.#holder = undefined;
      this.#events.onReusable(this);
    }
  }

  onData(bytes: Buffer, from: number, end: number): void {
    this.#receiver?.onData(bytes, from, end);
  }

  onEnd(): void {
    if (this.#state !== State.Body) return this.#closedEarly(undefined);
    // A body that ends with the connection is complete only if the peer itself has ended it.
    if (this.#transport.isCut === true && !this.#tunnel) return this.#closedEarly(CUT);
    this.#endIsHeld = this.#receiver === undefined;
    if (this.#endIsHeld) return;
    try {
      this.#decoder.endOfInput();
    } catch (thrown) {
      return this.#fail('upstream/closed', (thrown as Error).message, thrown);
    }
    this.#keepAlive = false;
    this.#bodyComplete(false);
  }

  onBlocked(): void {
    this.#blocked();
  }

  onWritable(): void {
    this.#writeBlocked = false;
    this.#armRead();
    this.onDrain?.();
  }

  onDeadline(): void {
    const { peer } = this;
    if (this.#state === State.Idle && this.#requestComplete) return this.#leave();
    if (this.#writeBlocked) {
      this.#fail('upstream/write-timeout', `took nothing for ${peer.writeTimeoutMs} ms`);
    } else {
      this.#fail('upstream/read-timeout', `sent nothing for ${peer.readTimeoutMs} ms`);
    }
  }

  onClosed(error: Error | undefined): void {
    if (this.#state !== State.Closed) this.#closedEarly(error);
  }

  #closedEarly(error: Error | undefined): void {
    const cause = error === undefined ? '' : `: ${error.message}`;
    if (this.#state === State.AwaitingHead && this.isReused && !this.#gotBytes) {
      this.#fail('upstream/idle-connection-closed', `closed a pooled connection${cause}`, error);
    } else {
      this.#fail('upstream/closed', `closed before its response was complete${cause}`, error);
    }
  }

  /** The one way out for everything that goes wrong; whoever waits hears of it. */
  #fail(code: ErrorCode, detail: string, cause?: unknown): void {
    if (this.#state === State.Closed) return;
    const error = new ProxyError(code, `${this.peer.address} ${detail}`, { cause });
    this.#failure = error;
    const requester = this.#requester;
    const receiver = this.#receiver;
    this.#requester = undefined;
    this.#receiver = undefined;
    this.onDrain = undefined;
    this.#leave();
    requester?.onFailed(error);
    receiver?.onError(error);
    this.#failPipeline();
  }

  /** At once: the transport tells of its end only after other events of this turn. */
  #leave(): void {
    this.#state = State.Closed;
    this.#deadlines.remove(this);
    this.#transport.destroy();
    this.#events.onGone(this);
  }
}

/**
 * The life of a request, top to bottom: each step answers or goes on to the
 * next. Nothing in this file can tell HTTP/1 from HTTP/2.
 *
 *   run → requestFilter → upstreamPeer → connect → upstreamRequestFilter → send
 *       → (the peer's head) → upstreamResponseFilter → responseFilter → pass on → end
 *   an attempt that fails, and may be made again: back to upstreamPeer
 *   anything that throws: fail → failToProxy → end
 *
 * The steps are methods and not one `async` function because a request whose
 * phases are synchronous must not pay for promises: six of them, and the
 * microtasks between them, cost 2 µs of the 15 that a request takes. For the
 * same reason each phase is looked for and called where it stands.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { IncomingBody, OutgoingBody } from '../http/body.ts';
import type { AbortListener, Exchange, ReuseListener } from '../http/exchange.ts';
import { removeHopByHop } from '../http/hop-by-hop.ts';
import { httpDate } from '../http/date.ts';
import { knownNames } from '../http/known-names.ts';
import { normalizePath } from '../http/path.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { UpstreamConnection } from '../upstream/http1-connection.ts';
import type { PeerConnection } from '../upstream/peer-connection.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { PeerAttempt } from '../upstream/peer-observer.ts';
import type { ResponseReceiver } from '../upstream/response-receiver.ts';
import { Answer, type BodyPieces } from './answer.ts';
import { filtered, promisedLength } from './body-phases.ts';
import type { FilteredBody } from './filtered-body.ts';
import { refuseMethod } from './methods.ts';
import { headOf, sendWhole, takesBody } from './own-answer.ts';
import { PhaseRun } from './phase-run.ts';
import type { ProxyService } from './proxy-service.ts';
import {
  isPending,
  type RequestOutcome,
  type ResponseOutcome,
  type RetryOutcome,
} from './proxy-http.ts';
import { proxyHeaderFor } from './proxy-header.ts';
import { ReplayableBody } from './replayable-body.ts';
import { mayRepeat } from './retry-policy.ts';
import { asProxyError, type FailedAttempt } from './session.ts';
import { StreamedBody } from './streamed-body.ts';
import { Transfer, type TransferOwner } from './transfer.ts';
import { upstreamRequest } from './upstream-request.ts';

const DATE = knownNames('date');
const CONTENT_LENGTH = knownNames('content-length');

/** Never throws: whatever happens, the exchange is answered or aborted and the request is logged. */
export function handleRequest(exchange: Exchange, service: ProxyService): void {
  new RequestRun(exchange, service).run();
}

class RequestRun
  extends PhaseRun
  implements ResponseReceiver, TransferOwner, AbortListener, ReuseListener
{
  readonly #exchange: Exchange;
  readonly #service: ProxyService;
  /** For this request, but nothing of it has been sent; `#reservedAlone`: nor of another. */
  #reserved: UpstreamConnection | undefined;
  #reservedAlone = false;
  #reservedAt = 0;
  #connection: UpstreamConnection | undefined;
  /** From the choice of a peer on; ended wherever the request leaves the peer. */
  #attempt: PeerAttempt | undefined;
  #upload: Transfer | undefined;
  #filteredUpload: FilteredBody | undefined;
  #filteredDownload: FilteredBody | undefined;
  #tunnel: (IncomingBody & OutgoingBody) | undefined;
  #download: Transfer | undefined;
  /** The body of an answer of the program's own. */
  #streamed: StreamedBody | undefined;
  #stopPause: (() => void) | undefined;
  #holdsBudget = false;
  #failure: ProxyError | undefined;
  /** The latest attempt ended on a pooled connection that the peer had closed. */
  #metClosed = false;

  constructor(exchange: Exchange, service: ProxyService) {
    super(service.openSession(exchange), service);
    this.#exchange = exchange;
    this.#service = service;
  }

  run(): void {
    const session = this.session;
    const exchange = this.#exchange;
    const { phases } = this.#service;
    try {
      this.phase = 'newCtx';
      session.ctx = this.#service.newCtx();
      if (phases.onConnectionReuse !== undefined && exchange.connectionContext !== undefined) {
        this.phase = 'onConnectionReuse';
        phases.onConnectionReuse(session, exchange.connectionContext);
      }
      if (phases.persistConnectionContext !== undefined) exchange.reuseListener = this;
      this.phase = undefined;
      this.#checkRequest();
      if (phases.earlyRequestFilter === undefined) return this.#filterRequest();
      this.phase = 'earlyRequestFilter';
      const done = phases.earlyRequestFilter(session);
      if (isPending(done)) this.later(done, () => this.#filterRequest());
      else this.#filterRequest();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #checkRequest(): void {
    const { request } = this.session;
    if (this.#exchange.refusal !== undefined) throw this.#exchange.refusal;
    refuseMethod(request.method);
    // From here on there is one spelling of the path: for routes, for phases, and for the peer.
    request.target = normalizePath(request.target, this.#service.paths);
  }

  #filterRequest(): void {
    const { phases } = this.#service;
    if (phases.requestFilter === undefined) return this.#filtered(undefined);
    this.phase = 'requestFilter';
    const outcome = phases.requestFilter(this.session);
    if (isPending(outcome)) return this.later(outcome, (decided) => this.#filtered(decided));
    this.#filtered(outcome);
  }

  #filtered(outcome: RequestOutcome): void {
    if (outcome instanceof Answer) return this.#answer(outcome);
    const { phases } = this.#service;
    if (phases.proxyUpstreamFilter === undefined) return this.#allowed(undefined);
    this.phase = 'proxyUpstreamFilter';
    const allowed = phases.proxyUpstreamFilter(this.session);
    if (isPending(allowed)) return this.later(allowed, (decided) => this.#allowed(decided));
    this.#allowed(allowed);
  }

  #allowed(outcome: RequestOutcome): void {
    if (outcome instanceof Answer) return this.#answer(outcome);
    const session = this.session;
    const answerMs = session.timeouts?.requestMs ?? this.#service.requestTimeoutMs;
    if (answerMs !== undefined) this.patient().answerWithin(answerMs, session.startedAt);
    this.#choosePeer();
  }

  // ── asking a peer ─────────────────────────────────────────────────────────

  #choosePeer(): void {
    const { aborted } = this.#exchange;
    if (aborted !== undefined) throw aborted;
    this.session.attempts += 1;
    this.phase = 'upstreamPeer';
    const peer = this.#service.phases.upstreamPeer(this.session);
    if (isPending(peer)) this.later(peer, (chosen) => this.#connect(chosen));
    else this.#connect(peer);
  }

  #connect(peer: HttpPeer): void {
    this.phase = undefined;
    this.session.peer = peer;
    const gate = peer.observer?.gate;
    if (gate === undefined || gate.tryEnter()) return this.#begin(peer);
    if (this.#exchange.aborted !== undefined) throw this.#exchange.aborted;
    const wait = ++this.wait;
    const isLeft = () => {
      this.#stopPause = undefined;
      this.#exchange.abortListener = undefined;
      return this.isLate(wait);
    };
    this.#stopPause = gate.wait({
      onEntered: () => {
        // One that is late was taken back, so there is somebody who goes on.
        isLeft();
        this.guarded(() => this.#begin(peer));
      },
      onRefused: (error) => {
        if (!isLeft()) this.fail(error);
      },
    });
    // One that waits for nothing but its turn does not wait for a client that has left.
    this.#exchange.abortListener = this;
  }

  #begin(peer: HttpPeer): void {
    this.#attempt = peer.observer?.attempt();
    // Where one pooled connection was closed, the others may be, too.
    const mayReuse = !this.#metClosed;
    const open = mayReuse
      ? this.#service.connector.reuse(peer, this.#isShareable(), proxyHeaderFor(peer, this.session))
      : undefined;
    if (open === undefined) return this.#dial(peer, (made) => this.#connected(made, made.asNew));
    this.#connected(open, open.asReused);
  }

  #dial(peer: HttpPeer, next: (connection: UpstreamConnection) => void): void {
    this.session.connection = undefined;
    const wait = ++this.wait;
    this.#service.connector.connect(peer, proxyHeaderFor(peer, this.session)).then(
      (connection) => {
        if (this.isLate(wait)) return connection.close();
        this.guarded(() => {
          const { aborted } = this.#exchange;
          if (aborted === undefined) return next(connection);
          connection.close();
          throw aborted;
        });
      },
      (thrown: unknown) => {
        if (!this.isLate(wait)) this.guarded(() => this.#connectFailed(asProxyError(thrown)));
      },
    );
  }

  /** A second attempt keeps to itself: the connection of the first may have ended because of it. */
  #isShareable(): boolean {
    const session = this.session;
    const isPlain = session.body === undefined && this.#exchange.upgrade === undefined;
    return isPlain && session.isIdempotent && session.attempts === 1;
  }

  #connectFailed(error: ProxyError): void {
    this.#attempt?.ended(error);
    const { phases } = this.#service;
    if (phases.failToConnect === undefined) return this.#tryAgain(error, undefined);
    this.phase = 'failToConnect';
    const outcome = phases.failToConnect(this.session, error);
    if (isPending(outcome)) this.later(outcome, (decided) => this.#tryAgain(error, decided));
    else this.#tryAgain(error, outcome);
  }

  #connected(connection: UpstreamConnection, facts: PeerConnection): void {
    this.#reserve(connection, facts);
    const { phases } = this.#service;
    if (phases.connectedToUpstream === undefined) return this.#prepare();
    this.phase = 'connectedToUpstream';
    const done = phases.connectedToUpstream(this.session, facts);
    if (isPending(done)) this.later(done, () => this.#prepare());
    else this.#prepare();
  }

  #reserve(connection: UpstreamConnection, facts: PeerConnection): void {
    this.#reserved = connection;
    this.#reservedAlone = connection.isIdle;
    this.#reservedAt = this.wait;
    this.session.connection = facts;
  }

  #dropReserved(): void {
    const reserved = this.#reserved;
    this.#reserved = undefined;
    if (reserved !== undefined && this.#reservedAlone) this.#service.connector.giveBack(reserved);
  }

  /** The peer's copy of the request. */
  #prepare(): void {
    this.phase = undefined;
    const session = this.session;
    const request = upstreamRequest(session, this.#exchange, this.#service);
    const { phases } = this.#service;
    if (phases.upstreamRequestFilter === undefined) return this.#send(request);
    this.phase = 'upstreamRequestFilter';
    const filtered = phases.upstreamRequestFilter(session, request);
    if (isPending(filtered)) this.later(filtered, () => this.#send(request));
    else this.#send(request);
  }

  #send(request: RequestHead): void {
    this.phase = undefined;
    const exchange = this.#exchange;
    const connection = this.#reserved!;
    if (exchange.aborted !== undefined) throw exchange.aborted;
    if (this.#reservedAt !== this.wait && !(this.#reservedAlone && connection.isIdle)) {
      return this.#sendElsewhere(request);
    }
    this.#reserved = undefined;
    this.#connection = connection;
    const { upgrade } = exchange;
    // Here and not sooner, so that no phase passes on what the connection would not stand by.
    if (upgrade !== undefined) {
      request.headers.set('Connection', 'Upgrade');
      request.headers.set('Upgrade', upgrade);
    }
    // From here on, the client's leaving ends the peer's work too.
    exchange.abortListener = this;
    const body = this.session.body === undefined ? undefined : this.#bodyToSend(request);
    connection.send(request, body, this, this.#isShareable());
    if (body === undefined) return;
    this.#upload = new Transfer(body, connection, this);
    this.#upload.start();
  }

  /**
   * While a phase was waited for, the connection has ended, or, where requests share
   * it, gone its way without this one. The peer has seen nothing.
   */
  #sendElsewhere(request: RequestHead): void {
    this.#dropReserved();
    const peer = this.session.peer!;
    const pooled = this.#service.connector.reuse(peer, false, proxyHeaderFor(peer, this.session));
    if (pooled === undefined) {
      return this.#dial(peer, (made) => {
        this.#reserve(made, made.asNew);
        this.#send(request);
      });
    }
    this.#reserve(pooled, pooled.asReused);
    this.#send(request);
  }

  /** Kept for a second attempt where the method allows one. */
  #bodyToSend(request: RequestHead): IncomingBody {
    const session = this.session;
    if (session.bodyTaken === 'by-phase') {
      throw new Error(
        'readBody has taken the body of this request; bufferBody leaves it for the peer',
      );
    }
    session.bodyTaken = 'by-peer';
    if (session.isIdempotent && !(session.body instanceof ReplayableBody)) {
      session.body = new ReplayableBody(session.body!);
    }
    const body = session.body!;
    const { requestBodies } = this.#service;
    if (requestBodies === undefined) return body;
    const length = promisedLength(request.headers);
    this.#filteredUpload = filtered(body, requestBodies, length, session, this.#service);
    return this.#filteredUpload;
  }

  /** From the exchange: the client is gone. */
  onAborted(error: ProxyError): void {
    this.fail(error);
  }

  // ── another attempt ───────────────────────────────────────────────────────

  /** From the connection: the peer failed before its response began. */
  onFailed(error: ProxyError): void {
    this.#metClosed = error.code === 'upstream/idle-connection-closed';
    this.guarded(() => {
      this.#leaveAttempt(error);
      this.#giveBudget();
      const { phases } = this.#service;
      if (phases.errorWhileProxy === undefined) return this.#tryAgain(error, undefined);
      this.phase = 'errorWhileProxy';
      const outcome = phases.errorWhileProxy(this.session, error);
      if (isPending(outcome)) this.later(outcome, (decided) => this.#tryAgain(error, decided));
      else this.#tryAgain(error, outcome);
    });
  }

  #leaveAttempt(error: ProxyError | undefined): void {
    this.#attempt?.ended(error);
    this.#connection = undefined;
    this.#upload = undefined;
    this.#filteredUpload?.detach();
    this.#filteredUpload = undefined;
    this.#exchange.abortListener = undefined;
    const { body } = this.session;
    if (body instanceof ReplayableBody) body.detach();
  }

  #tryAgain(error: ProxyError, outcome: RetryOutcome): void {
    this.phase = undefined;
    const verdict = mayRepeat(error, this.session.isIdempotent);
    const mayBegin = outcome !== 'give-up' && this.#canRepeat();
    if (mayBegin && verdict === 'yes') return this.#again(error.code, 0);
    const isAsked = outcome === 'retry' || this.#service.retry.asksAfter(error);
    if (mayBegin && verdict === 'if-asked' && isAsked && this.#takeBudget()) {
      return this.#again(error.code, this.#service.retry.pauseMs(this.session.attempts));
    }
    throw error;
  }

  /** There is an attempt left, and the body can be sent once more. */
  #canRepeat(): boolean {
    const { attempts, body } = this.session;
    if (attempts >= this.#service.maxAttempts) return false;
    return !(body instanceof ReplayableBody) || body.canReplay;
  }

  /** Such a response could be better the next time. */
  #mayAskAgain(): boolean {
    const isPossible = this.session.isIdempotent && this.#tunnel === undefined;
    return isPossible && this.#canRepeat() && this.#takeBudget();
  }

  #askAgain(status: number): void {
    this.#connection?.release(this);
    this.#leaveAttempt(undefined);
    this.#again(status, this.#service.retry.pauseMs(this.session.attempts));
  }

  #again(why: FailedAttempt['why'], pauseMs: number): void {
    const session = this.session;
    const peer = session.peer!;
    this.#service.recorder.upstream(peer.upstream).retried();
    session.failedAttempts = [...(session.failedAttempts ?? []), { peer: peer.address, why }];
    if (pauseMs === 0) return this.#choosePeer();
    const wait = ++this.wait;
    this.#stopPause = this.#service.time.after(pauseMs, () => {
      if (!this.isLate(wait)) this.guarded(() => this.#choosePeer());
    });
  }

  #takeBudget(): boolean {
    this.#giveBudget();
    this.#holdsBudget = this.#service.takeRetry();
    return this.#holdsBudget;
  }

  #giveBudget(): void {
    if (!this.#holdsBudget) return;
    this.#holdsBudget = false;
    this.#service.retry.give();
  }

  // ── the response ──────────────────────────────────────────────────────────

  /** From the connection: an answer before the answer. */
  onInterim(head: ResponseHead): void {
    removeHopByHop(head.headers);
    this.#exchange.sendInterim(head);
  }

  /** From the connection: the final head, whose body has not been started. */
  onResponse(head: ResponseHead, body: IncomingBody | undefined): void {
    // Without a body it is complete, and the connection may carry somebody else's request already.
    const isComplete = body === undefined && this.#tunnel === undefined;
    if (isComplete && this.#upload?.complete !== false) this.#connection = undefined;
    this.#attempt?.responded(head.status);
    try {
      const { phases, retry } = this.#service;
      if (retry.statuses?.has(head.status) === true && this.#mayAskAgain()) {
        return this.#askAgain(head.status);
      }
      if (this.#tunnel === undefined) removeHopByHop(head.headers);
      // RFC 9110 §6.6.1: whoever passes a response on supplies the date that it lacks.
      if (head.headers.lacks(DATE)) head.headers.append('Date', httpDate());
      if (phases.upstreamResponseFilter === undefined)
        return this.#responded(undefined, head, body);
      this.phase = 'upstreamResponseFilter';
      const outcome = phases.upstreamResponseFilter(this.session, head);
      if (isPending(outcome)) {
        this.later(outcome, (decided) => this.#responded(decided, head, body));
      } else this.#responded(outcome, head, body);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** From the connection: the peer agrees to the change of protocol. */
  onUpgraded(head: ResponseHead, tunnel: IncomingBody & OutgoingBody): void {
    const upgrade = head.headers.get('upgrade') ?? '';
    this.#tunnel = tunnel;
    removeHopByHop(head.headers);
    head.headers.push('Connection', 'Upgrade');
    head.headers.push('Upgrade', upgrade);
    this.onResponse(head, undefined);
  }

  #responded(outcome: ResponseOutcome, head: ResponseHead, body: IncomingBody | undefined): void {
    this.phase = undefined;
    if (outcome === 'retry' && this.#mayAskAgain()) return this.#askAgain(head.status);
    this.#giveBudget();
    const { phases, responseBodies } = this.#service;
    if (responseBodies?.changesBodies === true && this.#tunnel === undefined) {
      head.headers.remove(CONTENT_LENGTH);
    }
    if (phases.responseFilter === undefined) return this.#passOn(head, body);
    this.phase = 'responseFilter';
    const filtered = phases.responseFilter(this.session, head);
    if (isPending(filtered)) this.later(filtered, () => this.#passOn(head, body));
    else this.#passOn(head, body);
  }

  #passOn(head: ResponseHead, body: IncomingBody | undefined): void {
    this.phase = undefined;
    const session = this.session;
    session.status = head.status;
    this.patience?.headArrived();
    if (this.#tunnel !== undefined) return this.#openTunnel(head, this.#tunnel);
    if (body === undefined) {
      this.#exchange.sendHead(head, 'none');
      return this.#end(undefined);
    }
    let passed = body;
    const { responseBodies } = this.#service;
    if (responseBodies !== undefined) {
      const length = responseBodies.changesBodies ? promisedLength(head.headers) : body.length;
      this.#filteredDownload = filtered(body, responseBodies, length, session, this.#service);
      passed = this.#filteredDownload;
    }
    // What phases may have changed often keeps its length, and clients like to know it.
    const unknown = body.length === undefined ? 'unknown' : 'undecided';
    const sink = this.#exchange.sendHead(head, passed.length ?? unknown);
    new Transfer(passed, sink, this).start();
  }

  /** Both directions at once, each until its side has said all it will. */
  #openTunnel(head: ResponseHead, peer: IncomingBody & OutgoingBody): void {
    const toClient = this.#exchange.sendHead(head, 'tunnel');
    this.#upload = new Transfer(this.#exchange.startTunnel(), peer, this);
    this.#download = new Transfer(peer, toClient, this);
    this.#download.start();
    this.#upload.start();
  }

  onTransferred(transfer: Transfer): void {
    const isTunnel = this.#tunnel !== undefined;
    if (isTunnel && !(this.#upload?.complete === true && this.#download?.complete === true)) return;
    if (isTunnel || transfer !== this.#upload) this.#end(this.#failure);
  }

  /** A body broke: the client's on its way up, or the peer's on its way down. */
  onTransferFailed(_transfer: Transfer, error: ProxyError): void {
    this.fail(error);
  }

  // ── an answer of our own ──────────────────────────────────────────────────

  #answer(answer: Answer): void {
    const head = headOf(answer);
    const { phases, filtersOwnAnswers } = this.#service;
    if (!filtersOwnAnswers || phases.responseFilter === undefined) {
      return this.#sendOwn(head, answer.body);
    }
    this.phase = 'responseFilter';
    const filtered = phases.responseFilter(this.session, head);
    if (isPending(filtered)) this.later(filtered, () => this.#sendOwn(head, answer.body));
    else this.#sendOwn(head, answer.body);
  }

  #sendOwn(head: ResponseHead, body: Answer['body']): void {
    this.phase = undefined;
    const exchange = this.#exchange;
    if (exchange.aborted !== undefined) throw exchange.aborted;
    this.session.status = head.status;
    if (body !== undefined && !Buffer.isBuffer(body)) return this.#stream(head, body);
    sendWhole(exchange, head, body);
    this.#end(this.#failure);
  }

  #stream(head: ResponseHead, pieces: BodyPieces): void {
    this.patience?.headArrived();
    const exchange = this.#exchange;
    const body = new StreamedBody(pieces, promisedLength(head.headers));
    if (!takesBody(this.session.request.method, head.status)) {
      body.discard();
      exchange.sendHead(head, 'none');
      return this.#end(this.#failure);
    }
    exchange.abortListener = this;
    this.#streamed = body;
    const sink = exchange.sendHead(head, body.length ?? 'unknown');
    new Transfer(body, sink, this).start();
  }

  // ── the end ───────────────────────────────────────────────────────────────

  protected override fail(thrown: unknown): void {
    if (this.ended) return;
    const error = asProxyError(thrown, this.phase);
    const exchange = this.#exchange;
    const isFirst = this.#failure === undefined;
    this.#failure ??= error;
    this.phase = undefined;
    this.wait += 1; // whatever is waited for comes too late
    this.#stopPause?.();
    this.#attempt?.ended(error);
    this.#connection?.release(this);
    this.#dropReserved();
    this.#connection = undefined;
    this.#service.logFailure(this.session, error);
    // Once the head is out, cutting the connection is the only way left to say "this is broken".
    if (exchange.headSent || exchange.aborted !== undefined || error.facts.status === 0) {
      exchange.abort();
      return this.#end(this.#failure);
    }
    if (isFirst) this.#chooseAnswer(error);
    else this.#answerPlainly(this.#failure);
  }

  #chooseAnswer(error: ProxyError): void {
    const { phases } = this.#service;
    if (phases.failToProxy === undefined) return this.#answerFailure(undefined, error);
    this.phase = 'failToProxy';
    this.guarded(() => {
      const outcome = phases.failToProxy!(this.session, error);
      if (isPending(outcome)) this.later(outcome, (chosen) => this.#answerFailure(chosen, error));
      else this.#answerFailure(outcome, error);
    });
  }

  #answerFailure(outcome: RequestOutcome, error: ProxyError): void {
    if (outcome instanceof Answer) this.#answer(outcome);
    else if (this.#service.filtersOwnAnswers) this.guarded(() => this.#answer(this.#plain(error)));
    else this.#answerPlainly(error);
  }

  /** Without any phase: one of them has failed, or there is none. */
  #answerPlainly(error: ProxyError): void {
    if (this.#exchange.aborted !== undefined) return this.#end(error);
    const answer = this.#plain(error);
    this.session.status = answer.status;
    sendWhole(this.#exchange, headOf(answer), answer.body as Buffer);
    this.#end(error);
  }

  #plain(error: ProxyError): Answer {
    const { status, retryAfterSeconds } = error.facts;
    const headers =
      retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` };
    return this.session.respondError(status, headers);
  }

  /** From the exchange: the answer is complete, and the connection is about to go on. */
  onReuse(): unknown {
    return this.#service.contextToKeep(this.session);
  }

  #end(error: ProxyError | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.#exchange.abortListener = undefined;
    // The peer has answered without waiting for the rest of the upload: what was sent of it
    // must not be the beginning of somebody else's request.
    if (this.#upload !== undefined && !this.#upload.complete) this.#connection?.close();
    this.#filteredUpload?.detach();
    this.#filteredDownload?.detach();
    this.#streamed?.discard();
    this.#attempt?.ended(error);
    this.patience?.end();
    this.#stopPause?.();
    this.#giveBudget();
    this.#service.closeSession(this.session, error);
  }
}

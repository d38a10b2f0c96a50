/**
 * The life of a request, top to bottom: each step answers or goes on to the
 * next. Nothing in this file can tell HTTP/1 from HTTP/2.
 *
 *   run → requestFilter → upstreamPeer → upstreamRequestFilter → connect → send
 *       → (the peer's head) → upstreamResponseFilter → responseFilter → pass on → end
 *   a peer that fails before its head: back to upstreamPeer, if that is safe
 *   anything that throws: fail → end
 *
 * The steps are methods and not one `async` function because a request whose
 * phases are synchronous must not pay for promises: six of them, and the
 * microtasks between them, cost 2 µs of the 15 that a request takes.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { IncomingBody, OutgoingBody } from '../http/body.ts';
import type { AbortListener, Exchange } from '../http/exchange.ts';
import { setForwarded } from '../http/forwarded.ts';
import { removeHopByHop } from '../http/hop-by-hop.ts';
import { httpDate } from '../http/date.ts';
import { knownNames } from '../http/known-names.ts';
import { normalizePath } from '../http/path.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { ResponseReceiver, UpstreamConnection } from '../upstream/http1-connection.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import { Answer } from './answer.ts';
import { refuseMethod } from './methods.ts';
import type { ProxyService } from './proxy-service.ts';
import type { Awaitable, RequestOutcome } from './proxy-http.ts';
import { ReplayableBody } from './replayable-body.ts';
import { asProxyError, type Session } from './session.ts';
import { Transfer, type TransferOwner } from './transfer.ts';

const DATE = knownNames('date');

/** Never throws: whatever happens, the exchange is answered or aborted and the request is logged. */
export function handleRequest(exchange: Exchange, service: ProxyService): void {
  new RequestRun(exchange, service).run();
}

class RequestRun implements ResponseReceiver, TransferOwner, AbortListener {
  readonly #exchange: Exchange;
  readonly #service: ProxyService;
  readonly #session: Session;
  #body: IncomingBody | undefined;
  #connection: UpstreamConnection | undefined;
  #upload: Transfer | undefined;
  #tunnel: (IncomingBody & OutgoingBody) | undefined;
  #download: Transfer | undefined;
  #ended = false;

  constructor(exchange: Exchange, service: ProxyService) {
    this.#exchange = exchange;
    this.#service = service;
    this.#session = service.openSession(exchange);
    this.#body = exchange.requestBody;
  }

  run(): void {
    const session = this.#session;
    const { phases } = this.#service;
    try {
      session.ctx = this.#service.newCtx();
      this.#checkRequest();
      if (phases.requestFilter === undefined) return this.#choosePeer();
      const outcome = phases.requestFilter(session);
      if (isPending(outcome)) return this.#later(outcome, (decided) => this.#filtered(decided));
      this.#filtered(outcome);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #checkRequest(): void {
    const { request } = this.#session;
    if (this.#exchange.refusal !== undefined) throw this.#exchange.refusal;
    refuseMethod(request.method);
    // From here on there is one spelling of the path: for routes, for phases, and for the peer.
    request.target = normalizePath(request.target, this.#service.paths);
  }

  #filtered(outcome: RequestOutcome): void {
    if (outcome instanceof Answer) this.#answer(outcome);
    else this.#choosePeer();
  }

  // ── asking a peer ─────────────────────────────────────────────────────────

  #choosePeer(): void {
    const { aborted } = this.#exchange;
    if (aborted !== undefined) throw aborted;
    this.#session.attempts += 1;
    const peer = this.#service.phases.upstreamPeer(this.#session);
    if (isPending(peer)) this.#later(peer, (chosen) => this.#prepare(chosen));
    else this.#prepare(peer);
  }

  #prepare(peer: HttpPeer): void {
    const session = this.#session;
    session.peer = peer;
    const { method, target, version, authority, headers } = session.request;
    const request = { method, target, version, authority, headers: headers.clone() };
    removeHopByHop(request.headers);
    setForwarded(request.headers, this.#exchange, this.#service.forwarding);
    // A client of HTTP/1.0 may leave it out; a request of HTTP/1.1 may not (RFC 9112 §3.2).
    if (authority === '') request.headers.set('Host', peer.address);
    const { phases } = this.#service;
    if (phases.upstreamRequestFilter === undefined) return this.#connect(request);
    const filtered = phases.upstreamRequestFilter(session, request);
    if (isPending(filtered)) this.#later(filtered, () => this.#connect(request));
    else this.#connect(request);
  }

  #connect(request: RequestHead): void {
    const { upgrade } = this.#exchange;
    // Here and not sooner, so that no phase passes on what the connection would not stand by.
    if (upgrade !== undefined) {
      request.headers.set('Connection', 'Upgrade');
      request.headers.set('Upgrade', upgrade);
    }
    const { aborted } = this.#exchange;
    if (aborted !== undefined) throw aborted;
    const { connector } = this.#service;
    const peer = this.#session.peer!;
    const reused = connector.reuse(peer, this.#isShareable());
    if (reused !== undefined) return this.#send(request, reused);
    connector.connect(peer).then(
      (connection) => {
        if (this.#ended || this.#exchange.aborted !== undefined) connection.close();
        this.#guarded(() => this.#send(request, connection));
      },
      (thrown: unknown) => this.#guarded(() => this.#attemptFailed(asProxyError(thrown))),
    );
  }

  /** A second attempt keeps to itself: the connection of the first may have ended because of it. */
  #isShareable(): boolean {
    const session = this.#session;
    const isPlain = this.#body === undefined && this.#exchange.upgrade === undefined;
    return isPlain && session.isIdempotent && session.attempts === 1;
  }

  #send(request: RequestHead, connection: UpstreamConnection): void {
    const exchange = this.#exchange;
    if (exchange.aborted !== undefined) throw exchange.aborted;
    this.#connection = connection;
    // From here on, the client's leaving ends the peer's work too.
    exchange.abortListener = this;
    const body = this.#bodyToSend();
    connection.send(request, body, this, this.#isShareable());
    if (body === undefined) return;
    this.#upload = new Transfer(body, connection, this);
    this.#upload.start();
  }

  /** From the exchange: the client is gone. */
  onAborted(error: ProxyError): void {
    this.#fail(error);
  }

  /** Kept for a second attempt where the method allows one. */
  #bodyToSend(): IncomingBody | undefined {
    if (
      this.#body !== undefined &&
      this.#session.isIdempotent &&
      !(this.#body instanceof ReplayableBody)
    ) {
      this.#body = new ReplayableBody(this.#body);
    }
    return this.#body;
  }

  /** From the connection: the peer failed before its response began. */
  onFailed(error: ProxyError): void {
    this.#guarded(() => this.#attemptFailed(error));
  }

  #attemptFailed(error: ProxyError): void {
    const session = this.#session;
    this.#connection = undefined;
    this.#upload = undefined;
    this.#exchange.abortListener = undefined;
    if (this.#body instanceof ReplayableBody) this.#body.detach();
    if (session.attempts >= this.#service.maxAttempts || !this.#mayRetry(error)) throw error;
    const peer = session.peer!;
    this.#service.recorder.upstream(peer.upstream).retried();
    session.log.warn({ err: error, peer: peer.address, attempt: session.attempts }, 'trying again');
    this.#choosePeer();
  }

  #mayRetry(error: ProxyError): boolean {
    const body = this.#body;
    const canSendBody = !(body instanceof ReplayableBody) || body.canReplay;
    switch (error.facts.retry) {
      case 'safe':
        return canSendBody;
      case 'if-idempotent':
        return this.#session.isIdempotent && canSendBody;
      case 'never':
        return false;
    }
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
    try {
      if (this.#tunnel === undefined) removeHopByHop(head.headers);
      // RFC 9110 §6.6.1: whoever passes a response on supplies the date that it lacks.
      if (head.headers.lacks(DATE)) head.headers.append('Date', httpDate());
      const { phases } = this.#service;
      if (phases.upstreamResponseFilter === undefined) return this.#filterResponse(head, body);
      const filtered = phases.upstreamResponseFilter(this.#session, head);
      if (isPending(filtered)) this.#later(filtered, () => this.#filterResponse(head, body));
      else this.#filterResponse(head, body);
    } catch (thrown) {
      this.#fail(thrown);
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

  #filterResponse(head: ResponseHead, body: IncomingBody | undefined): void {
    const { phases } = this.#service;
    if (phases.responseFilter === undefined) return this.#passOn(head, body);
    const filtered = phases.responseFilter(this.#session, head);
    if (isPending(filtered)) this.#later(filtered, () => this.#passOn(head, body));
    else this.#passOn(head, body);
  }

  #passOn(head: ResponseHead, body: IncomingBody | undefined): void {
    const session = this.#session;
    session.status = head.status;
    if (this.#tunnel !== undefined) return this.#openTunnel(head, this.#tunnel);
    if (body === undefined) {
      this.#exchange.sendHead(head, 'none');
      return this.#end(undefined);
    }
    const sink = this.#exchange.sendHead(head, body.length ?? 'unknown');
    new Transfer(body, sink, this).start();
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
    if (isTunnel || transfer !== this.#upload) this.#end(undefined);
  }

  /** A body broke: the client's on its way up, or the peer's on its way down. */
  onTransferFailed(_transfer: Transfer, error: ProxyError): void {
    this.#fail(error);
  }

  // ── the end ───────────────────────────────────────────────────────────────

  #answer(answer: Answer): void {
    sendOwn(this.#session, this.#exchange, answer);
    this.#end(undefined);
  }

  #fail(thrown: unknown): void {
    if (this.#ended) return;
    const error = asProxyError(thrown);
    this.#connection?.release(this);
    this.#connection = undefined;
    answerFailure(this.#session, this.#exchange, error);
    this.#end(error);
  }

  #end(error: ProxyError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#exchange.abortListener = undefined;
    // The peer has answered without waiting for the rest of the upload: what was sent of it
    // must not be the beginning of somebody else's request.
    if (this.#upload !== undefined && !this.#upload.complete) this.#connection?.close();
    this.#service.closeSession(this.#session, error);
  }

  /** Goes on when the promise of a phase is settled. */
  #later<T>(pending: PromiseLike<T>, next: (value: T) => void): void {
    pending.then(
      (value) => this.#guarded(() => next(value)),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  #guarded(step: () => void): void {
    if (this.#ended) return;
    try {
      step();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }
}

/** Anything with a `then`, as `await` sees it. */
function isPending<T>(value: Awaitable<T>): value is Promise<T> {
  return (
    value instanceof Promise || (typeof value === 'object' && value !== null && 'then' in value)
  );
}

function sendOwn(session: Session, exchange: Exchange, { status, headers, body }: Answer): void {
  session.status = status;
  const head: ResponseHead = { status, reason: '', version: '1.1', headers: headers.clone() };
  head.headers.set('Date', httpDate());
  const length = body?.length ?? 0;
  const writer = exchange.sendHead(head, length);
  if (body !== undefined) writer.write(body, 0, length);
  writer.end(undefined);
}

function answerFailure(session: Session, exchange: Exchange, error: ProxyError): void {
  const { status, side } = error.facts;
  const fields = { err: error, peer: session.peer?.address, attempts: session.attempts };
  if (side === 'internal') session.log.error(fields, 'a phase threw');
  else if (side === 'upstream') session.log.warn(fields, 'request failed');
  else session.log.debug(fields, 'request failed');

  // Once the head is out, cutting the connection is the only way left to say "this is broken".
  if (exchange.headSent || status === 0) return exchange.abort();
  sendOwn(session, exchange, session.respondError(status));
}

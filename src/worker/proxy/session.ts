/** One request and its answer, as the phases see it. */
import type { Log } from '../../shared/log/log.ts';
import type { ErrorCode } from '../../shared/errors/catalog.ts';
import { inOnePiece } from '../../shared/text/in-one-piece.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { Time } from '../../shared/time/time.ts';
import { clientAddress, type ClientAddressRules } from '../http/client-address.ts';
import type { IncomingBody } from '../http/body.ts';
import type {
  Exchange,
  ExchangeTimeouts,
  ParentRequest,
  SocketAddress,
  TlsFacts,
} from '../http/exchange.ts';
import { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import type { PeerConnection } from '../upstream/peer-connection.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import { Answer, statusText, type AnswerInit } from './answer.ts';
import { readWhole } from './body-reader.ts';
import type { PhaseName } from './proxy-http.ts';
import { ReplayableBody } from './replayable-body.ts';
import type { SubrequestAnswer } from './subrequest-answer.ts';
import { Subrequests, type SubrequestHost, type SubrequestInit } from './subrequests.ts';

export interface SessionParts {
  readonly service: string;
  readonly figures: ServiceRecorder;
  readonly log: Log;
  readonly time: Time;
  readonly clientRules: ClientAddressRules;
  readonly subrequests: SubrequestHost;
}

/** An attempt after which another one was made. */
export interface FailedAttempt {
  /** Address of the peer. */
  readonly peer: string;
  /** The error, or the status that the peer has answered. */
  readonly why: ErrorCode | number;
}

/** Waits of one request, instead of those of its service. */
export interface SessionTimeouts extends ExchangeTimeouts {
  /** For a phase that returns a promise. */
  readonly phaseMs?: number;
  /** For the response to begin, counted from the start of the request, over all attempts. */
  readonly requestMs?: number;
}

export interface ReadLimit {
  /** Bytes; a longer body is a 413. */
  readonly limit: number;
}

export class Session<Ctx = unknown> {
  /** The program's own value for this request, made by `newCtx` before any phase runs. */
  ctx!: Ctx;
  /**
   * The request as the client sent it. A change to it changes what the peer gets. Of one that could
   * not be read, method and target are `''` and there are no fields.
   */
  readonly request: RequestHead;
  /** As the client wrote it; `request.target` is its normal form. For logs. */
  readonly originalTarget: string;
  /** The service that accepted it. */
  readonly service: string;
  /** Milliseconds; `elapsedMs` counts from here. */
  readonly startedAt: number;
  /** How many peers were asked for so far; 1 during the first `upstreamPeer`. */
  attempts = 0;
  /** The attempts before the latest one. */
  failedAttempts: readonly FailedAttempt[] | undefined;
  /** The peer of the latest attempt. */
  peer: HttpPeer | undefined;
  /** The connection of the latest attempt, once there is one. */
  connection: PeerConnection | undefined;
  /** Sent to the client; 0 while nothing has been, or if the client left first. */
  status = 0;
  /** What is to be sent to peers as the body. Phases use `readBody`, `bufferBody` and the body phases. */
  body: IncomingBody | undefined;
  /** Somebody takes the body already: a peer, or a phase. */
  bodyTaken: 'no' | 'by-peer' | 'by-phase' = 'no';
  /** A phase waits for the client's body. */
  isReadingBody = false;
  /** What `setTimeouts` has set. */
  timeouts: SessionTimeouts | undefined;
  /** Where the service's figures are counted. */
  readonly figures: ServiceRecorder;
  readonly #exchange: Exchange;
  readonly #log: Log;
  readonly #time: Time;
  readonly #clientRules: ClientAddressRules;
  readonly #subrequestHost: SubrequestHost;
  #subrequests: Subrequests | undefined;
  #hasEnded = false;
  #clientIp: string | undefined;
  #childLog: Log | undefined;
  #requestId: string | undefined;

  constructor(exchange: Exchange, parts: SessionParts) {
    const { service, figures, log, time, clientRules } = parts;
    this.#exchange = exchange;
    this.#subrequestHost = parts.subrequests;
    this.service = service;
    this.figures = figures;
    this.#log = log;
    this.#time = time;
    this.#clientRules = clientRules;
    this.startedAt = time.now();
    this.request = exchange.request;
    this.originalTarget = exchange.request.target;
    this.body = exchange.requestBody;
  }

  /** Whose connection it is. Behind another proxy that is the other proxy. */
  get client(): SocketAddress {
    return this.#exchange.client;
  }

  /** The listener that accepted the connection. */
  get server(): SocketAddress {
    return this.#exchange.server;
  }

  /**
   * Address of the client itself: behind trusted proxies, the one they vouch for
   * in `X-Forwarded-For`, read from the right, or in the field of `client_ip_field`.
   */
  get clientIp(): string {
    this.#clientIp ??= clientAddress(
      this.request.headers,
      this.#exchange.client.address,
      this.#clientRules,
    );
    return this.#clientIp;
  }

  get scheme(): 'http' | 'https' {
    return this.#exchange.scheme;
  }

  /** What TLS agreed on with the client; `undefined` on a connection without it. */
  get tls(): TlsFacts | undefined {
    return this.#exchange.tls;
  }

  /** The request that has made this one; `undefined` if a client has sent it. */
  get parent(): ParentRequest | undefined {
    return this.#exchange.parent;
  }

  /** Unique among all workers and restarts; in the log, and in error answers. */
  get requestId(): string {
    this.#requestId ??= nextRequestId();
    return this.#requestId;
  }

  /** Lines written here carry the request id. */
  get log(): Log {
    this.#childLog ??= this.#log.child({
      requestId: this.requestId,
      ...(this.parent && { subrequestOf: this.parent.requestId }),
    });
    return this.#childLog;
  }

  /** Milliseconds since the head of the request was here. */
  get elapsedMs(): number {
    return this.#time.now() - this.startedAt;
  }

  /** Body bytes read from the client. */
  get bytesReceived(): number {
    return this.#exchange.bytesReceived;
  }

  /** Body bytes written to the client. */
  get bytesSent(): number {
    return this.#exchange.bytesSent;
  }

  /** The peer may see this request twice without harm (RFC 9110 §9.2.2). */
  get isIdempotent(): boolean {
    const { method } = this.request;
    return method === 'GET' || IDEMPOTENT.has(method);
  }

  /** The worker finishes what it has and takes no new connections. */
  get isShuttingDown(): boolean {
    return this.#exchange.isDraining;
  }

  /**
   * `false` closes the client's connection after the answer. Has no effect once the head is out, and
   * `true` only takes an earlier `false` back.
   */
  setKeepAlive(keep: boolean): void {
    this.#exchange.keepAliveWanted = keep;
  }

  /** Waits of this request only; what is left out stays as it is. */
  setTimeouts(timeouts: SessionTimeouts): void {
    this.timeouts = { ...this.timeouts, ...timeouts };
    if (timeouts.requestBodyMs !== undefined || timeouts.responseWriteMs !== undefined) {
      this.#exchange.setTimeouts(timeouts);
    }
  }

  /**
   * The whole body, which then is not there for a peer any more.
   *
   * @throws {ProxyError} `downstream/body-too-large`, or why it did not arrive
   * @throws {Error} the body has been taken already
   */
  readBody({ limit }: ReadLimit): Promise<Buffer> {
    this.#checkBodyIsHere();
    if (this.body === undefined) return Promise.resolve(NO_BYTES);
    this.bodyTaken = 'by-phase';
    return this.#read(this.body, limit);
  }

  /** The whole body; it stays here, and is sent to the peer as if nobody had read it. Throws as `readBody` does. */
  bufferBody({ limit }: ReadLimit): Promise<Buffer> {
    this.#checkBodyIsHere();
    if (this.body === undefined) return Promise.resolve(NO_BYTES);
    const kept =
      this.body instanceof ReplayableBody ? this.body : new ReplayableBody(this.body, limit);
    this.body = kept;
    return this.#read(kept, limit);
  }

  #checkBodyIsHere(): void {
    if (this.bodyTaken === 'no') return;
    throw new Error(`expected the request body to be here still; it was taken ${this.bodyTaken}`);
  }

  async #read(body: IncomingBody, limit: number): Promise<Buffer> {
    if (this.#exchange.expectsContinue && this.#exchange.bytesReceived === 0) {
      const headers = new Headers();
      this.#exchange.sendInterim({ status: 100, reason: '', version: '1.1', headers });
    }
    this.isReadingBody = true;
    try {
      return await readWhole(body, limit);
    } finally {
      this.isReadingBody = false;
    }
  }

  /**
   * Asks this service itself, through all its phases, and waits for the answer: to read it, or to
   * return it from a request phase as the answer to the client. It ends when the request does, or
   * the client leaves. Limits and API keys of a configuration file do not hold for it: the request
   * that it is made for has passed them.
   *
   * Rejects with a `ProxyError` if it is cut before its answer begins, or is one too many
   * (`internal/subrequest-limit`). Any status is an answer. In `logging` the request has ended already.
   */
  subrequest(init: SubrequestInit): Promise<SubrequestAnswer> {
    const answer = this.#hasEnded
      ? Promise.reject<SubrequestAnswer>(new Error(ENDED))
      : this.#ownSubrequests().ask(init);
    // A program may not wait for it; that alone must not end the worker.
    answer.catch(() => {});
    return answer;
  }

  /**
   * As `subrequest`, but nobody waits for it: it goes on when the request has ended, for at most
   * `timeoutMs`, and its answer is thrown away.
   *
   * @returns false: it was not begun, since too many are running
   * @throws {ProxyError} `internal/subrequest-limit`
   */
  subrequestInBackground(init: SubrequestInit): boolean {
    return this.#ownSubrequests().start(init);
  }

  /** Nobody waits for the subrequests of this request any more. */
  endSubrequests(): void {
    this.#hasEnded = true;
    this.#subrequests?.end();
  }

  #ownSubrequests(): Subrequests {
    const { requestId, clientIp } = this;
    const maker = { exchange: this.#exchange, requestId, clientIp };
    this.#subrequests ??= new Subrequests(maker, this.#subrequestHost);
    return this.#subrequests;
  }

  /** An answer of your own, to be returned from a request phase. */
  respond(init: AnswerInit): Answer {
    return new Answer(init);
  }

  /** An answer that says no: the status in words and the request id, no details. */
  respondError(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
    const fields = new Headers([
      'content-type',
      'text/plain; charset=utf-8',
      'cache-control',
      'private, no-store',
      'x-request-id',
      this.requestId,
    ]);
    for (const [name, value] of Object.entries(headers)) fields.set(name, value);
    return new Answer({ status, headers: fields, body: `${statusText(status)}\n` });
  }

  /** An answer with a value as JSON. */
  respondJson(status: number, value: unknown): Answer {
    const headers = { 'content-type': 'application/json' };
    return new Answer({ status, headers, body: `${JSON.stringify(value)}\n` });
  }
}

const NO_BYTES = Buffer.alloc(0);

const ENDED =
  'subrequest: the request has ended, and this would end with it; subrequestInBackground goes on';

const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);

/** Process and start time in front, a counter behind: unique, and 20 times cheaper than random bytes. */
const REQUEST_ID_PREFIX = `${process.pid.toString(36)}-${Date.now().toString(36)}-`;
/** The last digits of the counter, as text. */
const LOW_DIGITS = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'));
let thousands = 0;
let requestIdStart = `${REQUEST_ID_PREFIX}0`;
let ofThousand = 0;

/** Also for requests that get no session. */
export function nextRequestId(): string {
  if (ofThousand === LOW_DIGITS.length) {
    ofThousand = 0;
    thousands += 1;
    requestIdStart = inOnePiece(REQUEST_ID_PREFIX + thousands);
  }
  const id = requestIdStart + LOW_DIGITS[ofThousand]!;
  ofThousand += 1;
  return id;
}

/**
 * Whatever was thrown, as the kind of error that the rest of the proxy understands.
 *
 * @param phase what was running
 */
export function asProxyError(thrown: unknown, phase?: PhaseName): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const detail = phase === undefined ? message : `${phase}: ${message}`;
  return new ProxyError('internal/filter-threw', detail, { cause: thrown, phase });
}

/** One request and its answer, as the phases see it. */
import { performance } from 'node:perf_hooks';
import type { Log } from '../../shared/log/log.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { ServiceRecorder } from '../../shared/metrics/recorder.ts';
import { clientAddress } from '../http/client-address.ts';
import type { ClientAddress, Exchange, TlsFacts } from '../http/exchange.ts';
import type { RequestHead } from '../http/message.ts';
import type { Trust } from '../http/trust.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import { Answer, statusText, type AnswerInit } from './answer.ts';

export interface SessionParts {
  readonly service: string;
  readonly figures: ServiceRecorder;
  readonly log: Log;
  readonly trusts: Trust | undefined;
}

export class Session<Ctx = unknown> {
  /** The program's own value for this request, made by `newCtx` before any phase runs. */
  ctx!: Ctx;
  /** The request as the client sent it. A change to it changes what the peer gets. */
  readonly request: RequestHead;
  /** As the client wrote it; `request.target` is its normal form. For logs. */
  readonly originalTarget: string;
  /** The service that accepted it. */
  readonly service: string;
  /** Milliseconds, on the scale of `performance.now()`. */
  readonly startedAt: number;
  /** How many peers were asked for so far; 1 during the first `upstreamPeer`. */
  attempts = 0;
  /** The peer of the latest attempt. */
  peer: HttpPeer | undefined;
  /** Sent to the client; 0 while nothing has been, or if the client left first. */
  status = 0;
  /** Where the service's figures are counted. */
  readonly figures: ServiceRecorder;
  readonly #exchange: Exchange;
  readonly #log: Log;
  readonly #trusts: Trust | undefined;
  #clientIp: string | undefined;
  #childLog: Log | undefined;
  #requestId: string | undefined;

  constructor(exchange: Exchange, { service, figures, log, trusts }: SessionParts) {
    this.#exchange = exchange;
    this.service = service;
    this.figures = figures;
    this.#log = log;
    this.#trusts = trusts;
    this.startedAt = performance.now();
    this.request = exchange.request;
    this.originalTarget = exchange.request.target;
  }

  /** Whose connection it is. Behind another proxy that is the other proxy. */
  get client(): ClientAddress {
    return this.#exchange.client;
  }

  /**
   * Address of the client itself: behind trusted proxies, the one they vouch for
   * in `X-Forwarded-For`, read from the right.
   */
  get clientIp(): string {
    this.#clientIp ??= clientAddress(
      this.request.headers,
      this.#exchange.client.address,
      this.#trusts,
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

  /** Unique among all workers and restarts; in the log, and in error answers. */
  get requestId(): string {
    this.#requestId ??= nextRequestId();
    return this.#requestId;
  }

  /** Lines written here carry the request id. */
  get log(): Log {
    this.#childLog ??= this.#log.child({ requestId: this.requestId });
    return this.#childLog;
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
    return IDEMPOTENT.has(this.request.method);
  }

  /** An answer of your own, to be returned from a request phase. */
  respond(init: AnswerInit): Answer {
    return new Answer(init);
  }

  /** An answer that says no: the status in words and the request id, no details. */
  respondError(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
    return new Answer({
      status,
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': 'private, no-store',
        'x-request-id': this.requestId,
        ...headers,
      },
      body: `${statusText(status)}\n`,
    });
  }

  /** An answer with a value as JSON. */
  respondJson(status: number, value: unknown): Answer {
    const headers = { 'content-type': 'application/json' };
    return new Answer({ status, headers, body: `${JSON.stringify(value)}\n` });
  }
}

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
    requestIdStart = REQUEST_ID_PREFIX + thousands;
  }
  const id = requestIdStart + LOW_DIGITS[ofThousand]!;
  ofThousand += 1;
  return id;
}

/** Whatever was thrown, as the kind of error that the rest of the proxy understands. */
export function asProxyError(thrown: unknown): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ProxyError('internal/filter-threw', message, { cause: thrown });
}

/**
 * The exchange of a subrequest: it comes from a phase and not from a connection,
 * and its answer goes to whoever has made it. Everything else is as for a client.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { IncomingBody, OutgoingBody } from '../http/body.ts';
import type {
  AbortListener,
  AnswerBody,
  Exchange,
  ParentRequest,
  SocketAddress,
  TlsFacts,
} from '../http/exchange.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { takesBody } from './own-answer.ts';

export interface SubrequestParts {
  readonly request: RequestHead;
  readonly requestBody: IncomingBody | undefined;
  readonly parent: ParentRequest;
  /** On whose behalf it is made. */
  readonly client: SocketAddress;
  /** Of the request that it is made for. */
  readonly of: Pick<Exchange, 'server' | 'scheme' | 'tls' | 'isDraining'>;
}

/** Hears of a head or of a cut, and in any case of the end. */
export interface AnswerReceiver {
  /** @returns where its body goes; not asked for one if there is none */
  onHead(head: ResponseHead): void;
  bodySink(): OutgoingBody;
  /** There will be no head. */
  onCut(error: ProxyError): void;
  /** Nothing more comes, for better or for worse. */
  onOver(): void;
}

export class SubrequestExchange implements Exchange, OutgoingBody {
  readonly request: RequestHead;
  readonly requestBody: IncomingBody | undefined;
  readonly parent: ParentRequest;
  readonly client: SocketAddress;
  readonly server: SocketAddress;
  readonly scheme: 'http' | 'https';
  readonly tls: TlsFacts | undefined;
  readonly refusal = undefined;
  readonly upgrade = undefined;
  readonly expectsContinue = false;
  readonly connectionContext = undefined;
  readonly bytesReceived: number;
  bytesSent = 0;
  headSent = false;
  aborted: ProxyError | undefined;
  abortListener: AbortListener | undefined;
  reuseListener: undefined;
  keepAliveWanted = true;
  readonly #of: SubrequestParts['of'];
  readonly #receiver: AnswerReceiver;
  #sink: OutgoingBody | undefined;
  #isOver = false;

  constructor(parts: SubrequestParts, receiver: AnswerReceiver) {
    const { server, scheme, tls } = parts.of;
    this.request = parts.request;
    this.requestBody = parts.requestBody;
    this.parent = parts.parent;
    this.client = parts.client;
    this.server = server;
    this.scheme = scheme;
    this.tls = tls;
    this.bytesReceived = parts.requestBody?.length ?? 0;
    this.#of = parts.of;
    this.#receiver = receiver;
  }

  get isDraining(): boolean {
    return this.#of.isDraining;
  }

  /** There is no client whose time it could be. */
  setTimeouts(): void {}

  /** Whoever made it waits for the answer. */
  sendInterim(): void {}

  startTunnel(): never {
    throw new Error('a subrequest asks for no upgrade');
  }

  /** Nobody wants its answer any more. */
  abandon(error: ProxyError): void {
    if (this.#isOver || this.aborted !== undefined) return;
    this.aborted = error;
    const { abortListener } = this;
    if (abortListener !== undefined) abortListener.onAborted(error);
    // A phase is waited for, and it may be long; whoever waits for the answer should not.
    else this.#over(error);
  }

  // ── the answer ────────────────────────────────────────────────────────────

  sendHead(head: ResponseHead, body: 'none'): undefined;
  sendHead(head: ResponseHead, body: number | 'unknown' | 'undecided' | 'tunnel'): OutgoingBody;
  sendHead(head: ResponseHead, body: AnswerBody): OutgoingBody | undefined {
    if (this.headSent) throw new Error('a final response head was sent already');
    this.headSent = true;
    // No length that nobody will keep to.
    head.headers.delete('transfer-encoding');
    if (body === 'unknown' || body === 'undecided') head.headers.delete('content-length');
    if (typeof body === 'number') head.headers.set('Content-Length', String(body));
    const hasBody = body !== 'none' && takesBody(this.request.method, head.status);
    if (hasBody && !this.#isOver) this.#sink = this.#receiver.bodySink();
    if (!this.#isOver) this.#receiver.onHead(head);
    if (body !== 'none') return this;
    this.#over(undefined);
    return undefined;
  }

  get onDrain(): (() => void) | undefined {
    return this.#sink?.onDrain;
  }

  set onDrain(listener: (() => void) | undefined) {
    if (this.#sink !== undefined) this.#sink.onDrain = listener;
  }

  write(bytes: Buffer, from: number, end: number): boolean {
    if (this.#sink === undefined) return true;
    this.bytesSent += end - from;
    return this.#sink.write(bytes, from, end);
  }

  flush(): void {
    this.#sink?.flush();
  }

  end(trailers: Headers | undefined): void {
    this.#sink?.end(trailers);
    this.#over(undefined);
  }

  abort(): void {
    const { method, target } = this.request;
    const detail = `${method} ${target} was cut; the line about it says why`;
    this.#over(this.aborted ?? new ProxyError('internal/subrequest-failed', detail));
  }

  #over(error: ProxyError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (error !== undefined && this.headSent) this.#sink?.abort();
    else if (error !== undefined) this.#receiver.onCut(error);
    this.#receiver.onOver();
  }
}

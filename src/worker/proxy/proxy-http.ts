/**
 * The phases of a request, in the order in which they run: what a program
 * implements to make a proxy. Only `upstreamPeer` is required. The comments
 * here are also `docs/reference/phases.md`.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { SocketAddress } from '../http/exchange.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { PeerConnection } from '../upstream/peer-connection.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { Answer } from './answer.ts';
import type { Session } from './session.ts';

export type Awaitable<T> = T | Promise<T>;

/** Returning nothing lets the connection in. */
export type ConnectionOutcome = 'refuse' | undefined | void;

/** Returning nothing goes on to the next phase; an answer is sent, and the request ends. */
export type RequestOutcome = Answer | undefined | void;

/** Returning nothing leaves the decision to the error catalog. */
export type RetryOutcome = 'retry' | 'give-up' | undefined | void;

/** Returning nothing goes on with the response; `'retry'` throws it away and asks again, if that is possible. */
export type ResponseOutcome = 'retry' | undefined | void;

/** Returning nothing passes the piece on as it came; bytes or text go in its place, empty ones drop it. */
export type BodyOutcome = Uint8Array | string | undefined | void;

/** A connection of which nothing has been read yet. */
export interface NewConnection {
  readonly client: SocketAddress;
  /** The listener that accepted it. */
  readonly server: SocketAddress;
}

export interface Phases<Ctx> {
  /**
   * Whether to let a client connect.
   *
   * - Runs once for each connection, before anything is read from it and before the limits on connections.
   * - May return `'refuse'`: the connection is reset.
   * - Waits for nothing, because a connection that waits costs memory before it has shown what it wants; what
   *   has to be asked elsewhere belongs into `requestFilter`.
   * - Throwing refuses the connection and writes a line to the log.
   */
  connectionFilter?(connection: NewConnection): ConnectionOutcome;

  /**
   * Makes the request's own value, `session.ctx`, which every later phase sees.
   *
   * - Runs once for each request, also for one that could not be read.
   * - Required if the type of the context does not allow `undefined`.
   * - Throwing fails the request; the phases of a failure then find no context.
   */
  newCtx?(): Ctx;

  /**
   * Takes over what an earlier request of the same connection has left for it.
   *
   * - Runs once, only if `persistConnectionContext` of an earlier request returned something.
   * - Throwing fails the request.
   */
  onConnectionReuse?(session: Session<Ctx>, kept: unknown): void;

  /**
   * Before every filter's `requestFilter`: to set what they will look at, such as timeouts.
   *
   * - Runs once for each request that may be served. Not the place to let requests in or keep them out: no
   *   filter has seen the request yet.
   * - Throwing fails the request.
   */
  earlyRequestFilter?(session: Session<Ctx>): Awaitable<void>;

  /**
   * The first look at a request: authenticate it, limit it, redirect it, answer it.
   *
   * - Runs once. Nothing has been sent anywhere, and the body has not been read: `session.readBody` and
   *   `session.bufferBody` do that.
   * - May return an answer, made by `session.respond…`: it is sent, and no peer is asked.
   * - Throwing fails the request.
   */
  requestFilter?(session: Session<Ctx>): Awaitable<RequestOutcome>;

  /**
   * The last gate before a peer is asked, for what only those requests should pay for.
   *
   * - Runs once, after `requestFilter` and before the first attempt.
   * - May return an answer: it is sent, and no peer is asked.
   * - Throwing fails the request.
   */
  proxyUpstreamFilter?(session: Session<Ctx>): Awaitable<RequestOutcome>;

  /**
   * Which peer to send the request to.
   *
   * - Runs once for each attempt; `session.attempts` counts them, and `session.peer` is the one before.
   * - Returns the peer.
   * - Throwing ends the request, without a further attempt; `upstream/none-healthy` is a 503.
   */
  upstreamPeer(session: Session<Ctx>): Awaitable<HttpPeer>;

  /**
   * No connection to `session.peer` could be made.
   *
   * - Runs once for each such attempt. The peer has seen nothing of the request.
   * - May return `'give-up'`; otherwise another attempt follows, if there is one left and the body can still be sent.
   * - Throwing replaces the error.
   */
  failToConnect?(session: Session<Ctx>, error: ProxyError): Awaitable<RetryOutcome>;

  /**
   * There is a connection to the peer, new or from the pool.
   *
   * - Runs once for each attempt that gets so far, before anything is sent on it.
   * - Throwing fails the request.
   */
  connectedToUpstream?(session: Session<Ctx>, connection: PeerConnection): Awaitable<void>;

  /**
   * The request as the peer will see it: a copy, without hop-by-hop fields and with `X-Forwarded-*` set.
   * `session.peer` and `session.connection` say where it goes.
   *
   * - Runs once for each attempt, before anything is sent.
   * - With a `requestBodyFilter` the copy has no Content-Length, since that phase may change the length, and the
   *   body goes out in chunks; setting the field promises the new length.
   * - Throwing fails the request.
   */
  upstreamRequestFilter?(session: Session<Ctx>, upstreamRequest: RequestHead): Awaitable<void>;

  /**
   * The request's body on its way up.
   *
   * - Runs for each piece, in order, then once with an empty one and `endOfBody`; again from the beginning in
   *   another attempt. Not for requests without a body, and not for the bytes of a tunnel. The piece is yours to keep.
   * - May return bytes or text to send instead; empty ones drop the piece.
   * - While it waits, the client waits.
   * - Throwing fails the request.
   */
  requestBodyFilter?(
    session: Session<Ctx>,
    piece: Buffer,
    endOfBody: boolean,
  ): Awaitable<BodyOutcome>;

  /**
   * The peer failed after it was connected and before the head of its response.
   *
   * - Runs once for each such attempt.
   * - May return `'retry'` or `'give-up'`; otherwise the [error](errors.md) decides. A retry that was asked for
   *   happens only if the method is idempotent or the peer has seen nothing, the whole body is at hand,
   *   an attempt is left, and the retry budget allows it.
   * - Throwing replaces the error.
   */
  errorWhileProxy?(session: Session<Ctx>, error: ProxyError): Awaitable<RetryOutcome>;

  /**
   * The response head as it came from the peer, without hop-by-hop fields.
   *
   * - Runs once for each attempt that gets so far. Not for 1xx, except 101.
   * - May return `'retry'`, under the conditions of `errorWhileProxy`; if they do not hold, the response goes on.
   * - Throwing fails the request.
   */
  upstreamResponseFilter?(
    session: Session<Ctx>,
    upstreamResponse: ResponseHead,
  ): Awaitable<ResponseOutcome>;

  /**
   * The response head just before it goes to the client.
   *
   * - Runs once; for Sluice's own answers and those of phases only with `responseFilterFor: 'all-answers'`.
   * - With a body phase of the response the head has no Content-Length any more, since that phase may change the
   *   length. A short body gets its new length once its end is known; any other goes out in chunks. Setting the
   *   field promises the new length.
   * - Throwing fails the request.
   */
  responseFilter?(session: Session<Ctx>, response: ResponseHead): Awaitable<void>;

  /**
   * The peer's body, as it comes from the peer.
   *
   * - Runs for each piece, in order, then once with an empty one and `endOfBody`. Not for responses without a
   *   body, and not for the bytes of a tunnel. The piece is yours to keep; unless you return another, the phase
   *   that follows gets the same memory.
   * - May return bytes or text to pass on instead; empty ones drop the piece.
   * - While it waits, the peer waits.
   * - Throwing cuts the response.
   */
  upstreamResponseBodyFilter?(
    session: Session<Ctx>,
    piece: Buffer,
    endOfBody: boolean,
  ): Awaitable<BodyOutcome>;

  /**
   * The fields after the peer's body.
   *
   * - Runs once, if there are any.
   * - Throwing cuts the response.
   */
  upstreamResponseTrailerFilter?(session: Session<Ctx>, trailers: Headers): Awaitable<void>;

  /**
   * The peer's body, on its way to the client.
   *
   * - Runs as `upstreamResponseBodyFilter` does, on what that one has passed on. Not for answers of phases.
   * - May return bytes or text to send instead; empty ones drop the piece.
   * - While it waits, the peer waits.
   * - Throwing cuts the response.
   */
  responseBodyFilter?(
    session: Session<Ctx>,
    piece: Buffer,
    endOfBody: boolean,
  ): Awaitable<BodyOutcome>;

  /**
   * The fields after the body, on their way to the client.
   *
   * - Runs once, if there are any, after `upstreamResponseTrailerFilter`.
   * - Throwing cuts the response.
   */
  responseTrailerFilter?(session: Session<Ctx>, trailers: Headers): Awaitable<void>;

  /**
   * The answer to a request that failed, also to one that could not be read.
   *
   * - Runs once, if nothing has been sent to the client yet and it is still there.
   * - May return an answer; otherwise the client gets the error's status and the request id.
   * - Throwing is logged, and the client gets the answer it would have got without the phase.
   */
  failToProxy?(session: Session<Ctx>, error: ProxyError): Awaitable<RequestOutcome>;

  /**
   * Whether to leave out the line that the process log gets about a failure.
   *
   * - Runs once for each failed request.
   * - Returns `true` to leave it out. The access log is not affected.
   * - Throwing counts as `false`.
   */
  suppressErrorLog?(session: Session<Ctx>, error: ProxyError): boolean;

  /**
   * What the process log calls the request. Default: its method, target and host.
   *
   * - Runs whenever a line about the request is written to the process log.
   * - Throwing brings back the default.
   */
  requestSummary?(session: Session<Ctx>): string;

  /**
   * What a later request of the same connection should know.
   *
   * - Runs once the answer is complete, if the connection will be used again. Before `logging`, since a client
   *   that pipelines may have its next request begin at once.
   * - Returns any value; `onConnectionReuse` of the next request gets it.
   * - Throwing is logged.
   */
  persistConnectionContext?(session: Session<Ctx>): unknown;

  /**
   * The end of the request.
   *
   * - Runs once for each request, however it ended, also if it could not be read; `error` says why it failed.
   * - If it returns a promise, nobody waits for it.
   * - Throwing is logged.
   */
  logging?(session: Session<Ctx>, error: ProxyError | undefined): Awaitable<void>;
}

export type PhaseName = keyof Phases<unknown>;

export interface ProxyHttpOptions {
  /**
   * Which answers `responseFilter` sees: those of peers, or also Sluice's own and those of phases.
   * Default `'peer-answers'`.
   */
  readonly responseFilterFor?: 'peer-answers' | 'all-answers';
}

/** A proxy: its phases. `newCtx` is required unless the context may be `undefined`. */
export type ProxyHttp<Ctx = undefined> = Phases<Ctx> &
  ProxyHttpOptions &
  ([undefined] extends [Ctx] ? unknown : Required<Pick<Phases<Ctx>, 'newCtx'>>);

/** Anything with a `then`, as `await` sees it. */
export function isPending<T>(value: Awaitable<T>): value is Promise<T> {
  if (typeof value !== 'object' || value === null) return false;
  return value instanceof Promise || 'then' in value;
}

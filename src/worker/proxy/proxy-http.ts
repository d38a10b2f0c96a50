/**
 * The phases of a request, in the order in which they run: what a program
 * implements to make a proxy. Only `upstreamPeer` is required.
 *
 * A phase may be synchronous or asynchronous; one that returns no promise costs
 * no microtask. A phase that throws a `ProxyError` fails the request with that
 * error; anything else it throws becomes a 500 and a log line that names it.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { Answer } from './answer.ts';
import type { Session } from './session.ts';

export type Awaitable<T> = T | Promise<T>;

/** Returning nothing goes on to the next phase; an answer is sent, and the request ends. */
export type RequestOutcome = Answer | undefined | void;

export interface Phases<Ctx> {
  /**
   * The first look at a request: authenticate it, limit it, redirect it, answer it.
   * Nothing has been sent anywhere, and its body has not been read.
   */
  requestFilter?(session: Session<Ctx>): Awaitable<RequestOutcome>;

  /**
   * Which peer to send it to. Runs once per attempt: after a connection failure it
   * runs again, and `session.attempts` counts.
   *
   * @throws {ProxyError} `upstream/none-healthy` becomes a 503
   */
  upstreamPeer(session: Session<Ctx>): Awaitable<HttpPeer>;

  /**
   * The request as the peer will see it: a copy, without hop-by-hop fields and
   * with `X-Forwarded-*` set. Runs once per attempt.
   */
  upstreamRequestFilter?(session: Session<Ctx>, upstreamRequest: RequestHead): Awaitable<void>;

  /** The response head as it came from the peer, without hop-by-hop fields. */
  upstreamResponseFilter?(session: Session<Ctx>, upstreamResponse: ResponseHead): Awaitable<void>;

  /** The response head just before it goes to the client. Not run for Sluice's own answers. */
  responseFilter?(session: Session<Ctx>, response: ResponseHead): Awaitable<void>;

  /**
   * The end of the request, once for each that got a session, however it ended.
   *
   * @param error why it failed; `undefined` if it did not
   */
  logging?(session: Session<Ctx>, error: ProxyError | undefined): void;
}

/** A proxy: its phases, and how to make the value that one request carries through them. */
export type ProxyHttp<Ctx = undefined> = Phases<Ctx> &
  ([undefined] extends [Ctx]
    ? {
        /** Makes the request's own value, `session.ctx`. */
        newCtx?(): Ctx;
      }
    : {
        /** Makes the request's own value, `session.ctx`. */
        newCtx(): Ctx;
      });

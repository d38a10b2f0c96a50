/**
 * The heads of messages, as every protocol hands them to the proxy. Bodies
 * travel apart (`exchange.ts`), trailers after them.
 */
import type { Headers } from './headers.ts';

/** The protocol a message came in, as in `HTTP/1.1` and in `Via`. */
export type HttpVersion = '1.0' | '1.1' | '2';

export interface RequestHead {
  /** Case-sensitive (RFC 9110 §9.1). */
  method: string;
  /**
   * What the request is for, in origin form: path and query, `/a?b=c`; `*` for
   * OPTIONS; `host:port` for CONNECT. A codec turns the absolute form into this.
   */
  target: string;
  readonly version: HttpVersion;
  /** Host and port the client asked for, from the target or the Host field; `''` if HTTP/1.0 sent none. */
  readonly authority: string;
  readonly headers: Headers;
}

export interface ResponseHead {
  status: number;
  /** Decoration: clients must ignore it (RFC 9112 §4). `''` means the usual one for the status. */
  reason: string;
  readonly version: HttpVersion;
  readonly headers: Headers;
}

/** How the end of a body is found (RFC 9112 §6.3). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** Responses only: the body ends with the connection. */
  | { readonly kind: 'until-close' };

/** What a listener of a service needs to know about its clients' connections. */
import type { Deadlines } from '../../shared/time/deadlines.ts';
import type { Exchange, SocketAddress } from '../http/exchange.ts';
import type { RequestHeadParser } from '../protocol/http1/request-head.ts';
import type { Admission } from './admission.ts';

export interface DownstreamTimeouts {
  /** From accept to the end of the TLS handshake. */
  readonly tlsHandshakeMs: number;
  /** From the first byte of a request, or from accept, to the end of its head. */
  readonly requestHeadMs: number;
  /** Between two reads of a request body. */
  readonly requestBodyMs: number;
  /** For the client to take what was written. */
  readonly responseWriteMs: number;
  /** Without a byte in either direction after a 101. */
  readonly tunnelIdleMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
}

export interface DownstreamLimits {
  readonly maxBodyBytes: number;
  /** Bytes per second of a body, on average; 0: none. */
  readonly minRate: number;
  readonly maxRequests: number;
}

export interface DownstreamOptions {
  readonly deadlines: Deadlines;
  /** One for all connections: it holds nothing of a head between two calls. */
  readonly headParser: RequestHeadParser;
  readonly timeouts: DownstreamTimeouts;
  readonly limits: DownstreamLimits;
  readonly admission: Admission;
  /** Takes over from here; the exchange must be answered or aborted, whatever happens. */
  readonly handle: (exchange: Exchange) => void;
  /** Whether a new connection may stay; nothing has been read from it. */
  readonly mayConnect: ((client: SocketAddress, server: SocketAddress) => boolean) | undefined;
  /** A connection that never got as far as its protocol. */
  readonly onHandshakeFailed: (reason: string, client: SocketAddress) => void;
}

/** What a listener needs, whatever its clients speak. */
export type ListenerOptions = Pick<
  DownstreamOptions,
  'deadlines' | 'admission' | 'mayConnect' | 'onHandshakeFailed'
> & { readonly timeouts: Pick<DownstreamTimeouts, 'tlsHandshakeMs'> };

/** The same for every connection of HTTP that one listener accepts. */
export interface ConnectionOptions extends DownstreamOptions {
  readonly server: SocketAddress;
}

/**
 * The seam between the proxy and the protocols of clients: one request, and the
 * way to answer it. What stands above cannot tell HTTP/1 from HTTP/2.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { IncomingBody, OutgoingBody } from './body.ts';
import type { RequestHead, ResponseHead } from './message.ts';

/** One end of a connection. */
export interface SocketAddress {
  /** Numeric IPv4 or IPv6 address; `'unix:'` for Unix sockets. */
  readonly address: string;
  readonly port: number;
}

export type ClientAddress = SocketAddress;

/** What one exchange may have of its own instead of what its service has. */
export interface ExchangeTimeouts {
  /** Between two reads of the request body. */
  readonly requestBodyMs?: number;
  /** For the client to take what was written. */
  readonly responseWriteMs?: number;
}

/** What client and server have agreed on in a TLS handshake. */
export interface TlsFacts {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly version: string;
  /** OpenSSL's name of it, such as `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  /** The name that the client asked for (RFC 6066 §3). */
  readonly sni: string | undefined;
  /** The protocol that both chose (RFC 7301); `undefined` if the client offered none. */
  readonly alpn: string | undefined;
}

/**
 * What follows a response head: no body at all, so many bytes, a body of unknown
 * length, or whatever the protocol is that a 101 has changed to. The length of an
 * undecided one is unknown, too, but will be told to the client if the body ends
 * before there is a reason to write the head.
 */
export type AnswerBody = 'none' | number | 'unknown' | 'undecided' | 'tunnel';

export interface AbortListener {
  onAborted(error: ProxyError): void;
}

export interface ReuseListener {
  /** @returns what the next exchange of the connection finds as its `connectionContext` */
  onReuse(): unknown;
}

/** The request on whose behalf a subrequest was made. */
export interface ParentRequest {
  readonly requestId: string;
  /** Of the subrequest: 1 if a client's request has made it. */
  readonly depth: number;
  /** What the phase that made it has given it along. */
  readonly value: unknown;
}

export interface Exchange {
  readonly request: RequestHead;
  /** Only of a subrequest. */
  readonly parent?: ParentRequest | undefined;
  /**
   * Why the request must not be served: its body is too long, or it could not be read; then it has
   * no method, no target and no fields.
   */
  readonly refusal: ProxyError | undefined;
  /** `undefined`: the request has no body. */
  readonly requestBody: IncomingBody | undefined;
  /** The protocol that the client asks to change to, such as `websocket`. */
  readonly upgrade: string | undefined;
  /** The client waits for a 100 before it sends its body. */
  readonly expectsContinue: boolean;
  readonly client: ClientAddress;
  /** The listener. */
  readonly server: SocketAddress;
  readonly scheme: 'http' | 'https';
  /** Of the client's connection; `undefined` without TLS. */
  readonly tls: TlsFacts | undefined;
  /** The final head is out: from here on, failing can only mean cutting. */
  readonly headSent: boolean;
  /** Body bytes, without framing. */
  readonly bytesReceived: number;
  readonly bytesSent: number;

  /** Why nobody waits for the answer any more; `undefined` while somebody does. */
  readonly aborted: ProxyError | undefined;
  /** Told at most once, if the client leaves before the answer is complete. */
  abortListener: AbortListener | undefined;
  /** Asked once the answer is complete, if the connection will carry another request. */
  reuseListener: ReuseListener | undefined;
  /** What the `reuseListener` of an earlier exchange on the connection returned last. */
  readonly connectionContext: unknown;
  /** The process is stopping: the answer is the connection's last. */
  readonly isDraining: boolean;
  /** False: the connection closes after the answer, whatever else allows. Only before the head. */
  keepAliveWanted: boolean;

  setTimeouts(timeouts: ExchangeTimeouts): void;
  /** A 1xx answer; the final one is still to come. Ignored for clients that do not know them (HTTP/1.0). */
  sendInterim(head: ResponseHead): void;
  /**
   * The final head. Framing fields in it are made to agree with `body`. Unless
   * `body` is `'none'`, the body follows through the returned writer.
   */
  sendHead(head: ResponseHead, body: 'none'): undefined;
  sendHead(head: ResponseHead, body: number | 'unknown' | 'undecided' | 'tunnel'): OutgoingBody;
  sendHead(head: ResponseHead, body: AnswerBody): OutgoingBody | undefined;
  /** After a 101: everything that the client sends from now on. */
  startTunnel(): IncomingBody;
  /** Gives up: closes without completing the answer. */
  abort(): void;
}

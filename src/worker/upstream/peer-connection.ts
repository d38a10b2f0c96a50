/** What is known of the connection to the peer of an attempt. */
import type { TlsFacts } from '../http/exchange.ts';

export interface PeerConnection {
  /** It comes from the pool, so it has carried a request before. */
  readonly isReused: boolean;
  /** Numeric; where a proxy is on the way, the proxy's. `'unix:'` for a Unix socket, or a stream of the program's own. */
  readonly remoteAddress: string;
  /** What TLS agreed on with the peer; `undefined` without it. */
  readonly tls: TlsFacts | undefined;
}

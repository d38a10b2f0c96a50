/** What a finished handshake has agreed on. */
import type { TLSSocket } from 'node:tls';
import type { TlsFacts } from '../http/exchange.ts';

/** @param socket on a client's side it knows no SNI: what was sent is the caller's to know */
export function factsOf(socket: TLSSocket): TlsFacts {
  // Not in Node's types: the name, or `false` without one.
  const { servername } = socket as TLSSocket & { readonly servername?: unknown };
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    sni: typeof servername === 'string' ? servername : undefined,
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined,
  };
}

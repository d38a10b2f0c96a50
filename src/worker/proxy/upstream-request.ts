/** The peer's copy of a request. */
import type { Exchange } from '../http/exchange.ts';
import { setForwarded } from '../http/forwarded.ts';
import { removeHopByHop } from '../http/hop-by-hop.ts';
import { knownNames } from '../http/known-names.ts';
import type { RequestHead } from '../http/message.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { ProxyService } from './proxy-service.ts';
import type { Session } from './session.ts';

const CONTENT_LENGTH = knownNames('content-length');

/** Without what was meant for the client's connection only, and with what the peer is told about the client. */
export function upstreamRequest(
  session: Session,
  exchange: Exchange,
  service: ProxyService,
): RequestHead {
  const { method, target, version, authority, headers } = session.request;
  const request = { method, target, version, authority, headers: headers.clone() };
  removeHopByHop(request.headers);
  setForwarded(request.headers, exchange, service.forwarding);
  // A client of HTTP/1.0 may leave it out; a request of HTTP/1.1 may not (RFC 9112 §3.2).
  if (authority === '') request.headers.set('Host', hostOf(session.peer!));
  if (service.requestBodies !== undefined && session.body !== undefined) {
    request.headers.remove(CONTENT_LENGTH);
  }
  return request;
}

function hostOf({ address, host, path }: HttpPeer): string {
  return path === undefined ? address : host;
}

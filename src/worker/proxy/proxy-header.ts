/** What a peer that wants the PROXY protocol is told about the client of a request. */
import type { HttpPeer } from '../upstream/peer.ts';
import type { Session } from './session.ts';

/** @returns empty if the peer does not want it */
export function proxyHeaderFor(peer: HttpPeer, session: Session): string {
  if (peer.proxyProtocol === undefined) return '';
  const { client, clientIp, server } = session;
  // Proxies vouch for an address; the port would be that of the last one of them.
  const source = clientIp === client.address ? client : { address: clientIp, port: 0 };
  return peer.proxyHeader({ source, destination: server });
}

/**
 * The client's side of TLS: a connection to a peer that is given out only when
 * the handshake is over and the peer's certificate was found good.
 */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as secure } from 'node:tls';
import type { ConnectListener } from '../transport/connect.ts';
import { SocketTransport } from '../transport/socket-transport.ts';
import type { ClientTls } from './client-tls.ts';
import { factsOf } from './facts.ts';
import { handshakeReason } from './reason.ts';

/** The peer and we could not agree. */
export class HandshakeFailed extends Error {
  override readonly name: string = 'HandshakeFailed';
}

/** We could have agreed, but the peer is not who we asked for. */
export class CertificateRefused extends HandshakeFailed {
  override readonly name = 'CertificateRefused';
}

/**
 * @param raw connected, and nothing has been read from it
 * @param way equal for connections that lead to the same peer: there, a handshake may go on from an earlier one
 * @param listener hears of a connection, or of one of the two errors above
 * @returns stops it, if it has not ended yet
 */
export function shakeHands(
  raw: Duplex,
  way: string,
  tls: ClientTls,
  listener: ConnectListener,
): () => void {
  const id = `${way} ${tls.key}`;
  const session = sessions.get(id);
  const socket = secure({
    socket: raw,
    secureContext: tls.context,
    servername: tls.sni ?? '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: tls.verifyCert,
    checkServerIdentity: (_host, { raw: der }) => wrongName(new X509Certificate(der), tls.names),
    ...(session !== undefined && { session }),
  });
  let isOver = false;
  const fail = (error: Error) => {
    if (isOver) return;
    isOver = true;
    // It may be the session that the peer cannot stand.
    sessions.delete(id);
    socket.destroy();
    const isRefusal = Boolean(socket.authorizationError);
    const reason = handshakeReason(error);
    listener.onFailed(isRefusal ? new CertificateRefused(reason) : new HandshakeFailed(reason));
  };
  // The TLS socket is not touched while the one below is closing (`node-internals.ts`); its own end follows.
  let below = new Error('the peer closed in the middle of the handshake');
  raw.on('error', (error) => {
    below = error;
  });
  socket.on('error', fail);
  socket.on('close', () => fail(below));
  // Only after the certificate was found good; what it was found good for is in the id.
  socket.on('session', (given: Buffer) => keepSession(id, given));
  socket.once('secureConnect', () => {
    if (isOver) return;
    isOver = true;
    const secured = { facts: { ...factsOf(socket), sni: tls.sni }, raw };
    listener.onConnected((ownerOf) => SocketTransport.over(socket, ownerOf, secured));
  });
  return () => {
    isOver = true;
    socket.destroy();
  };
}

/**
 * RFC 9525: the name must stand among the alternative names. The subject's common
 * name, which older software looks at, is free text.
 */
function wrongName(certificate: X509Certificate, names: readonly string[]): Error | undefined {
  if (names.length === 0) return undefined;
  const isFor = (name: string) =>
    isIP(name) === 0
      ? certificate.checkHost(name, { subject: 'never', partialWildcards: false })
      : certificate.checkIP(name);
  if (names.some((name) => isFor(name) !== undefined)) return undefined;
  const found = certificate.subjectAltName ?? 'no name';
  return new Error(`expected a certificate for ${names.join(' or ')}, got one for ${found}`);
}

/** Tickets to go on where the last connection left off: no certificates, half the work. One per peer is enough. */
const MAX_SESSIONS = 1_024;
const sessions = new Map<string, Buffer>();

function keepSession(id: string, session: Buffer): void {
  if (sessions.size >= MAX_SESSIONS && !sessions.has(id)) sessions.clear();
  sessions.set(id, session);
}

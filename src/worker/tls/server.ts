/**
 * The server's side of TLS: makes of an accepted TCP connection a transport that
 * is encrypted, or fails.
 *
 * Protocols and ciphers are those of Mozilla's "intermediate" profile (version
 * 5.7), without its three DHE suites: no client needs them that speaks TLS 1.2
 * with us, and they let anybody burn our processor for the price of one packet.
 */
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { SocketTransport } from '../transport/socket-transport.ts';
import type { Connected } from '../transport/connect.ts';
import { factsOf } from './facts.ts';
import { handshakeReason } from './reason.ts';

/** Hears of one of the two, once, and of nothing after `stop`. */
export interface HandshakeListener {
  onSecured(connected: Connected): void;
  onFailed(reason: string): void;
}

/** PEM. */
export interface Identity {
  /** Followed by the certificates that lead to its root. */
  readonly cert: string;
  readonly key: string;
}

const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** What listens is a TCP server of ours, with its limits and deadlines; Node's TLS server never does. */
export class TlsServer {
  readonly #server: Server;
  /** By the addresses of both ends, which no two connections share at a time. */
  readonly #handshakes = new Map<string, Handshake>();

  /** @param protocols that clients may choose from by ALPN (RFC 7301); none: whatever they ask for is ignored */
  constructor({ cert, key }: Identity, protocols: readonly string[]) {
    this.#server = createServer({
      cert,
      key,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: CIPHERS,
      // All of them are good, and the client knows which its processor is fast at.
      honorCipherOrder: false,
      ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
      // A client that began anew, over and over, would make us do the expensive part each time.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      // The caller has a deadline of its own, which a client cannot put off with a byte now and then.
      handshakeTimeout: 2 ** 31 - 1,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#failed(error, socket));
  }

  /**
   * @param raw an accepted connection of which nothing was read; ours from now on
   * @returns stops it and closes the connection
   */
  shakeHands(raw: Socket, listener: HandshakeListener): () => void {
    const id = idOf(raw);
    if (id === undefined) {
      raw.destroy();
      setImmediate(() => listener.onFailed(GONE));
      return () => {};
    }
    const handshake: Handshake = { raw, listener, reason: GONE };
    this.#handshakes.set(id, handshake);
    raw.on('error', forget);
    raw.once('close', () => {
      if (!this.#take(id, handshake)) return;
      listener.onFailed(handshake.reason);
    });
    this.#server.emit('connection', raw);
    return () => {
      this.#take(id, handshake);
      raw.destroy();
    };
  }

  #secured(socket: TLSSocket): void {
    const id = idOf(socket);
    const handshake = id === undefined ? undefined : this.#handshakes.get(id);
    // Reset just now: its end will be told as such.
    if (id === undefined || handshake === undefined) return void socket.destroy();
    this.#handshakes.delete(id);
    const { raw, listener } = handshake;
    const secured = { facts: factsOf(socket), raw };
    listener.onSecured((ownerOf) => SocketTransport.over(socket, ownerOf, secured));
  }

  /** The end of the connection follows, and with it the verdict. */
  #failed(error: Error, socket: TLSSocket): void {
    const id = idOf(socket);
    const handshake = id === undefined ? undefined : this.#handshakes.get(id);
    if (handshake !== undefined) handshake.reason = handshakeReason(error);
    socket.destroy();
  }

  /** @returns false: it was over before */
  #take(id: string, handshake: Handshake): boolean {
    return this.#handshakes.get(id) === handshake && this.#handshakes.delete(id);
  }
}

interface Handshake {
  readonly raw: Socket;
  readonly listener: HandshakeListener;
  reason: string;
}

const GONE = 'the client closed in the middle of the handshake';

/** @returns `undefined`: it is closed */
function idOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  if (remoteAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function forget(): void {}

/** A listening address of a service in this worker, and the connections it has accepted. */
import type { Socket } from 'node:net';
import type { ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { ClientAddress, SocketAddress } from '../http/exchange.ts';
import type { TlsServer } from '../tls/server.ts';
import type { Connected } from '../transport/connect.ts';
import { NOBODY, type Transport, type TransportOwner } from '../transport/transport.ts';
import { accept, acceptSockets, type Accept, type Acceptor, type ListenTarget } from './accept.ts';
import { Handshake, type HandshakeOwner, type HandshakeParts } from './handshake.ts';
import type { ListenerOptions } from './settings.ts';

/** The oldest connections come first; looking at more of them would make a flood expensive. */
const MAX_LOOKED_AT = 64;

/** A connection as its listener sees it, whatever it speaks. */
export interface ClientConnection extends TransportOwner {
  readonly client: ClientAddress;
  /** Its client loses nothing but a handshake if it is closed now. */
  readonly isIdle: boolean;
  /** Comes to its end in its own time; idle, after `idleMs`. */
  drain(idleMs: number): void;
  /** Closes at once, whatever is going on. */
  destroy(): void;
}

/** @param onClosed to be called once, when it is over */
export type Connect = (transport: Transport, onClosed: () => void) => ClientConnection;

export interface ListenerParts {
  readonly target: ListenTarget;
  /** `undefined`: clients say what they have to say from the first byte on. */
  readonly tls: TlsServer | undefined;
  readonly options: ListenerOptions;
  /** What becomes of connections; called once, with the address that was listened on. */
  readonly connector: (server: SocketAddress) => Connect;
  readonly figures: ServiceRecorder;
  readonly onError: (error: Error) => void;
  /** Default: over the network. */
  readonly accept?: Accept | undefined;
}

export class Listener implements HandshakeOwner {
  readonly #connections = new Set<ClientConnection>();
  /** Counted among the connections everywhere: a client may have as many of both together. */
  readonly #handshakes = new Set<Handshake>();
  readonly #options: ListenerOptions;
  readonly #figures: ServiceRecorder;
  #server: SocketAddress = NOT_LISTENING;
  #connectTo: Connect = notListening;
  #acceptor: Acceptor | undefined;
  #isAccepting = true;
  #onEnded: (() => void) | undefined;
  #drainIdleMs: number | undefined;
  /** Connections that came to it, also those that were refused. */
  acceptedCount = 0;

  private constructor({ options, figures }: ListenerParts) {
    this.#options = options;
    this.#figures = figures;
  }

  /** @throws {Error} the address cannot be listened on */
  static async open(parts: ListenerParts): Promise<Listener> {
    const { target, tls, onError, accept: how = accept } = parts;
    const listener = new Listener(parts);
    listener.#acceptor =
      tls === undefined
        ? await how(target, (transport) => listener.#admit(transport), onError)
        : await acceptSockets(target, listener.#toTls(parts, tls), onError);
    const { address } = listener.#acceptor;
    const server = address === undefined ? UNIX : { address: address.host, port: address.port };
    listener.#server = server;
    listener.#connectTo = parts.connector(server);
    return listener;
  }

  #admit(transport: Transport): TransportOwner {
    this.acceptedCount += 1;
    const { remoteAddress: address, remotePort: port } = transport;
    if (this.#enter({ address, port })) return this.#connect(transport);
    transport.reset();
    return NOBODY;
  }

  #toTls({ options }: ListenerParts, tls: TlsServer): (socket: Socket) => void {
    const { deadlines, timeouts } = options;
    const parts = { tls, deadlines, timeoutMs: timeouts.tlsHandshakeMs, owner: this };
    return (socket) => this.#admitSocket(socket, parts);
  }

  #admitSocket(socket: Socket, parts: HandshakeParts): void {
    this.acceptedCount += 1;
    const { remoteAddress: address, remotePort: port } = socket;
    // Gone already: there is nobody to talk to, and nobody to hold responsible.
    if (address === undefined || port === undefined) return void socket.destroy();
    if (!this.#enter({ address, port })) return void socket.resetAndDestroy();
    this.#handshakes.add(new Handshake(socket, { address, port }, parts));
  }

  onSecured(handshake: Handshake, connected: Connected): void {
    this.#handshakes.delete(handshake);
    this.#figures.handshakeEnded('done');
    connected((transport) => this.#connect(transport, handshake.client.address));
  }

  onFailed(handshake: Handshake, reason: string): void {
    if (!this.#handshakes.delete(handshake)) return;
    this.#figures.handshakeEnded('failed');
    this.#options.onHandshakeFailed(reason, handshake.client);
    this.#leave(handshake.client.address);
  }

  /** @returns false: the program does not want it, or there is no room for one more of that client */
  #enter(client: SocketAddress): boolean {
    const { admission, mayConnect } = this.#options;
    if (mayConnect !== undefined && !mayConnect(client, this.#server)) return false;
    if (admission.isFull) this.#makeRoom();
    const refusal = admission.enter(client.address);
    if (refusal !== undefined) this.#figures.connectionRefused(refusal);
    else this.#figures.connectionOpened();
    return refusal === undefined;
  }

  /** @param address under which it was counted */
  #connect(transport: Transport, address = transport.remoteAddress): ClientConnection {
    const connection = this.#connectTo(transport, () => this.#forget(connection, address));
    this.#connections.add(connection);
    if (this.#drainIdleMs !== undefined) connection.drain(this.#drainIdleMs);
    return connection;
  }

  /** Closes an idle connection: its client loses nothing but a handshake. */
  #makeRoom(): void {
    let looked = 0;
    for (const connection of this.#connections) {
      if (connection.isIdle) {
        this.#forget(connection, connection.client.address);
        return connection.destroy();
      }
      looked += 1;
      if (looked === MAX_LOOKED_AT) return;
    }
  }

  #forget(connection: ClientConnection, address: string): void {
    if (this.#connections.delete(connection)) this.#leave(address);
  }

  #leave(address: string): void {
    this.#options.admission.leave(address);
    this.#figures.connectionClosed();
    if (this.hasEnded) this.#onEnded?.();
  }

  /** `undefined`: a Unix socket. */
  get address(): { readonly host: string; readonly port: number } | undefined {
    return this.#acceptor!.address;
  }

  get connectionCount(): number {
    return this.#connections.size + this.#handshakes.size;
  }

  /** It accepts no more, and the last connection has ended. */
  get hasEnded(): boolean {
    return !this.#isAccepting && this.connectionCount === 0;
  }

  /** Accepts no more. */
  stopAccepting(): void {
    this.#isAccepting = false;
    this.#acceptor!.close();
    if (this.hasEnded) this.#onEnded?.();
  }

  /** Lets every connection finish its request, and idle ones live for `idleMs`; also those still to come. */
  drain(idleMs: number): void {
    this.#drainIdleMs = idleMs;
    for (const connection of this.#connections) connection.drain(idleMs);
  }

  /** Resolves when it has ended; `stopAccepting` and `cut` make that happen. */
  ended(): Promise<void> {
    if (this.hasEnded) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEnded = resolve;
    });
  }

  /** Closes what is left, in the middle of whatever it does. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
    for (const handshake of this.#handshakes) {
      handshake.destroy();
      this.onFailed(handshake, 'the server stopped');
    }
  }
}

/** Until the system has said which address it is; no connection is accepted before. */
const NOT_LISTENING = { address: '', port: 0 };

function notListening(): never {
  throw new Error('a connection came before its listener was open');
}

/** A Unix socket has no numbers. */
const UNIX = { address: 'unix:', port: 0 };

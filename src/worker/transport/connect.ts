/**
 * Connects to an address or a name.
 *
 * A name may stand for several addresses, of which some do not answer. They are
 * tried in the order of the system's resolver, each next one when the one before
 * has failed or said nothing for a moment, and the first that accepts is taken
 * (in the spirit of RFC 8305).
 */
import { lookup } from 'node:dns';
import { isIP, isIPv6, type Socket } from 'node:net';
import { handleDialer, socketDialer, type Dialer, type Where } from './dialer.ts';
import { socketOver, tcpInternals, type TcpKeepAlive } from './node-internals.ts';
import { SocketTransport } from './socket-transport.ts';
import { TcpTransport } from './tcp-transport.ts';
import type { Transport, TransportOwner } from './transport.ts';

export interface ConnectTarget {
  /** Address or name. */
  readonly host: string;
  readonly port: number;
  /** Source address for peers with an address of that family. */
  readonly bindToIpv4?: string | undefined;
  readonly bindToIpv6?: string | undefined;
  /** `undefined`: the system sends none. */
  readonly tcpKeepAlive?: TcpKeepAlive | undefined;
}

/** Hears of one of the two, once, and of nothing after `stop`, nor before `connect` has returned. */
export interface ConnectListener {
  onConnected(connected: Connected): void;
  onFailed(error: NodeJS.ErrnoException): void;
}

/** A connection that is to be given to an owner at once. */
export type Connected = (ownerOf: (transport: Transport) => TransportOwner) => void;

/** As `ConnectListener`, for who needs a socket of Node's. */
export interface ConnectSocketListener {
  onSocket(socket: Socket): void;
  onFailed(error: NodeJS.ErrnoException): void;
}

/** @returns stops it, if it has not ended yet */
export function connect(target: ConnectTarget, listener: ConnectListener): () => void {
  const internals = tcpInternals();
  if (internals === undefined) {
    return connectNodesWay(target, {
      onSocket: (socket) =>
        listener.onConnected((ownerOf) => SocketTransport.over(socket, ownerOf)),
      onFailed: (error) => listener.onFailed(error),
    });
  }
  return attempt(handleDialer(internals), target, {
    onDialed: (handle, address) =>
      listener.onConnected((ownerOf) =>
        TcpTransport.over(handle, { address, port: target.port }, ownerOf),
      ),
    onFailed: (error) => listener.onFailed(error),
  });
}

/** As `connect`; what the socket has to say from then on is the listener's business. */
export function connectSocket(target: ConnectTarget, listener: ConnectSocketListener): () => void {
  const internals = tcpInternals();
  if (internals === undefined) return connectNodesWay(target, listener);
  return attempt(handleDialer(internals), target, {
    onDialed: (handle) => listener.onSocket(socketOver(handle)),
    onFailed: (error) => listener.onFailed(error),
  });
}

/** Where handles are out of reach. */
export function connectNodesWay(
  target: ConnectTarget,
  listener: ConnectSocketListener,
): () => void {
  return attempt(socketDialer, target, {
    onDialed: (socket) => listener.onSocket(socket),
    onFailed: (error) => listener.onFailed(error),
  });
}

interface AttemptListener<Connection> {
  onDialed(connection: Connection, address: string): void;
  onFailed(error: NodeJS.ErrnoException): void;
}

function attempt<Connection>(
  dialer: Dialer<Connection>,
  target: ConnectTarget,
  listener: AttemptListener<Connection>,
): () => void {
  const begun = new Attempt(dialer, target, listener);
  begun.start();
  return () => begun.stop();
}

/** RFC 8305 §5 recommends this delay between attempts. */
const NEXT_AFTER_MS = 250;
/** Of the addresses of a name, this many are tried; a name with more is a load balancer by DNS. */
const MAX_ADDRESSES = 8;

class Attempt<Connection> {
  readonly #dialer: Dialer<Connection>;
  readonly #target: ConnectTarget;
  readonly #listener: AttemptListener<Connection>;
  readonly #dialing = new Set<Connection>();
  #left: string[] = [];
  #error: NodeJS.ErrnoException | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    dialer: Dialer<Connection>,
    target: ConnectTarget,
    listener: AttemptListener<Connection>,
  ) {
    this.#dialer = dialer;
    this.#target = target;
    this.#listener = listener;
  }

  start(): void {
    const { host } = this.#target;
    if (isIP(host) !== 0) {
      this.#left = [host];
      return this.#dialNext();
    }
    lookup(host, { all: true }, (error, found) => {
      if (this.#over) return;
      if (error !== null) return this.#fail(error);
      this.#left = found.slice(0, MAX_ADDRESSES).map(({ address }) => address);
      this.#dialNext();
    });
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const connection of this.#dialing) this.#dialer.close(connection);
    this.#dialing.clear();
  }

  #dialNext(): void {
    clearTimeout(this.#timer);
    const address = this.#left.shift();
    if (address !== undefined) {
      if (this.#left.length > 0) this.#timer = setTimeout(() => this.#dialNext(), NEXT_AFTER_MS);
      const connection = this.#dialer.dial(this.#where(address), (error) =>
        this.#dialed(connection, address, error),
      );
      this.#dialing.add(connection);
    } else if (this.#dialing.size === 0) {
      this.#fail(this.#error ?? new Error(`${this.#target.host} has no address`));
    }
  }

  #where(address: string): Where {
    const { port, bindToIpv4, bindToIpv6, tcpKeepAlive: keepAlive } = this.#target;
    return { address, port, source: isIPv6(address) ? bindToIpv6 : bindToIpv4, keepAlive };
  }

  #dialed(connection: Connection, address: string, error: NodeJS.ErrnoException | undefined): void {
    if (!this.#dialing.delete(connection)) return; // `stop` has closed it
    if (error !== undefined) {
      this.#dialer.close(connection);
      this.#error = error;
      return this.#dialNext();
    }
    this.stop();
    this.#listener.onDialed(connection, address);
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.stop();
    this.#listener.onFailed(error);
  }
}

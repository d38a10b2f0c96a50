/**
 * Connects to an address or a name.
 *
 * A name may stand for several addresses, of which some do not answer. They are
 * tried in the order of the system's resolver, each next one when the one before
 * has failed or said nothing for a moment, and the first that accepts is taken
 * (in the spirit of RFC 8305).
 */
import { lookup } from 'node:dns';
import { connect as connectWithNode, isIPv6, isIP, type Socket } from 'node:net';
import { socketOver, tcpInternals, type TcpHandle, type TcpInternals } from './node-internals.ts';
import { SocketTransport } from './socket-transport.ts';
import { systemError } from './system-error.ts';
import { TcpTransport, type RemoteAddress } from './tcp-transport.ts';
import type { Transport, TransportOwner } from './transport.ts';

export interface ConnectTarget {
  /** Address or name. */
  readonly host: string;
  readonly port: number;
  /** Source address for peers with an address of that family. */
  readonly bindToIpv4?: string | undefined;
  readonly bindToIpv6?: string | undefined;
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
  return attempt(internals, target, {
    onHandle: (handle, remote) =>
      listener.onConnected((ownerOf) => TcpTransport.over(handle, remote, ownerOf)),
    onFailed: (error) => listener.onFailed(error),
  });
}

/** As `connect`; what the socket has to say from then on is the listener's business. */
export function connectSocket(target: ConnectTarget, listener: ConnectSocketListener): () => void {
  const internals = tcpInternals();
  if (internals === undefined) return connectNodesWay(target, listener);
  return attempt(internals, target, {
    onHandle: (handle) => listener.onSocket(socketOver(handle)),
    onFailed: (error) => listener.onFailed(error),
  });
}

interface HandleListener {
  onHandle(handle: TcpHandle, remote: RemoteAddress): void;
  onFailed(error: NodeJS.ErrnoException): void;
}

function attempt(
  internals: TcpInternals,
  target: ConnectTarget,
  listener: HandleListener,
): () => void {
  const begun = new Attempt(internals, target, listener);
  begun.start();
  return () => begun.stop();
}

/** RFC 8305 §5 recommends this delay between attempts. */
const NEXT_AFTER_MS = 250;
/** Of the addresses of a name, this many are tried; a name with more is a load balancer by DNS. */
const MAX_ADDRESSES = 8;

class Attempt {
  readonly #internals: TcpInternals;
  readonly #target: ConnectTarget;
  readonly #listener: HandleListener;
  readonly #dialing = new Set<TcpHandle>();
  #left: string[] = [];
  #error: NodeJS.ErrnoException | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(internals: TcpInternals, target: ConnectTarget, listener: HandleListener) {
    this.#internals = internals;
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
    for (const handle of this.#dialing) handle.close(forget);
    this.#dialing.clear();
  }

  #dialNext(): void {
    clearTimeout(this.#timer);
    const address = this.#left.shift();
    if (address !== undefined) {
      if (this.#left.length > 0) this.#timer = setTimeout(() => this.#dialNext(), NEXT_AFTER_MS);
      this.#dial(address);
    } else if (this.#dialing.size === 0) {
      this.#fail(this.#error ?? new Error(`${this.#target.host} has no address`));
    }
  }

  #dial(address: string): void {
    const { TCP, TCPConnectWrap } = this.#internals;
    const handle = new TCP(0);
    this.#dialing.add(handle);
    const request = new TCPConnectWrap();
    request.oncomplete = (status) => this.#dialed(handle, address, status);
    const status = this.#begin(handle, request, address);
    // Later, so that the listener never hears of anything before `connect` has returned.
    if (status !== 0) setImmediate(() => this.#dialed(handle, address, status));
  }

  #begin(handle: TcpHandle, request: object, address: string): number {
    const { port, bindToIpv4, bindToIpv6 } = this.#target;
    const isV6 = isIPv6(address);
    const source = isV6 ? bindToIpv6 : bindToIpv4;
    if (source !== undefined) {
      const status = isV6 ? handle.bind6(source, 0, 0) : handle.bind(source, 0);
      if (status !== 0) return status;
    }
    return isV6 ? handle.connect6(request, address, port) : handle.connect(request, address, port);
  }

  #dialed(handle: TcpHandle, address: string, status: number): void {
    if (!this.#dialing.delete(handle)) return; // `stop` has closed it
    if (status !== 0) {
      handle.close(forget);
      this.#error = systemError(status, 'connect');
      return this.#dialNext();
    }
    this.stop();
    handle.setNoDelay(true);
    this.#listener.onHandle(handle, { address, port: this.#target.port });
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.stop();
    this.#listener.onFailed(error);
  }
}

function forget(): void {}

/** Where handles are out of reach. Node tries the addresses of a name in the same way. */
function connectNodesWay(target: ConnectTarget, listener: ConnectSocketListener): () => void {
  const { host, port, bindToIpv4, bindToIpv6 } = target;
  const localAddress = isIPv6(host) ? bindToIpv6 : bindToIpv4;
  const source = localAddress === undefined ? {} : { localAddress };
  const socket = connectWithNode({ host, port, ...source, allowHalfOpen: true, noDelay: true });
  socket.once('error', (error) => listener.onFailed(error));
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    listener.onSocket(socket);
  });
  return () => {
    socket.removeAllListeners();
    socket.on('error', forget);
    socket.destroy();
  };
}

/** One address that requests can be sent to, and how to talk to it. */
import type { Duplex } from 'node:stream';
import { refuseUnknown } from '../../shared/config/options.ts';
import { clientTls, type ClientTls, type ClientTlsOptions } from '../tls/client-tls.ts';
import type { TcpKeepAlive } from '../transport/node-internals.ts';
import {
  proxyHeader,
  type ProxiedConnection,
  type ProxyProtocolVersion,
} from '../protocol/proxy-protocol/encode.ts';
import { connectProxy, type ConnectProxy, type ConnectProxyOptions } from './connect-proxy.ts';
import { parsePeerAddress } from './peer-address.ts';
import type { PeerObserver } from './peer-observer.ts';
import { checkPeerOptions, peerChecks } from './peer-options.ts';

export interface PeerOptions extends ClientTlsOptions {
  /** Speaks TLS 1.3 or 1.2 with the peer, whose certificate is verified unless you say otherwise. Default false. */
  readonly tls?: boolean | undefined;
  /**
   * For each step of a connection: until it is made, until the proxy on the way has
   * answered, until the TLS handshake is over. Default 5,000 ms.
   */
  readonly connectTimeoutMs?: number | undefined;
  /** For all steps together. Default 10,000 ms. */
  readonly totalConnectTimeoutMs?: number | undefined;
  /** Between two reads, and for the response head. Default 60,000 ms. */
  readonly readTimeoutMs?: number | undefined;
  /** For the peer to take what was written. Default 60,000 ms. */
  readonly writeTimeoutMs?: number | undefined;
  /** How long an idle connection is kept for the next request; 0 keeps none. Default 60,000 ms. */
  readonly idleTimeoutMs?: number | undefined;
  /** Idle connections kept to this peer, per worker. Default 64. */
  readonly maxIdle?: number | undefined;
  /**
   * How many requests may be under way on one connection, sent without waiting for
   * answers. Default 1: none. More pays where the proxy is the bottleneck and the
   * peer answers everything equally fast; elsewhere a slow answer delays all behind it.
   */
  readonly pipelining?: number | undefined;
  /** Requests with different keys never share a connection, though the address is the same. Default: none. */
  readonly groupKey?: string | undefined;
  /** The upstream's name, for logs and metrics. Default: the address. */
  readonly upstream?: string | undefined;
  /** Source address of connections over IPv4. Default: the system chooses. */
  readonly bindToIpv4?: string | undefined;
  /** Source address of connections over IPv6. Default: the system chooses. */
  readonly bindToIpv6?: string | undefined;
  /**
   * How the kernel finds out that the other end of a TCP connection is gone without a
   * word. `false`: not at all. Default: after 60 s of silence it asks, every 10 s, 5 times.
   * Node.js 24 knows only `idleMs`; there it asks every second, 10 times.
   */
  readonly tcpKeepAlive?: TcpKeepAlive | false | undefined;
  /**
   * Tells the peer who the client is in a header of the PROXY protocol, before anything else is sent. A
   * connection then belongs to one client connection and is never used for another's requests. Default: none.
   */
  readonly proxyProtocol?: ProxyProtocolVersion | undefined;
  /** Reaches the peer through a proxy that is asked with CONNECT. Default: none. */
  readonly proxy?: ConnectProxyOptions | undefined;
  /** Makes the connections, in place of Sluice. */
  readonly connector?: PeerConnector | undefined;
}

/**
 * Opens a connection to a peer in a way of the program's own, such as through an
 * agent or in memory. TLS, if the peer asks for it, comes on top.
 *
 * @param signal aborted when nobody waits any more: the time is up, or the client has left
 */
export type PeerConnector = (peer: HttpPeer, signal: AbortSignal) => Promise<Duplex>;

const KEEP_ALIVE: TcpKeepAlive = { idleMs: 60_000, intervalMs: 10_000, count: 5 };

export class HttpPeer {
  /** `host:port` or `unix:/path`; names the peer in logs and metrics. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket; then `host` is `localhost` and `port` 0. */
  readonly path: string | undefined;
  readonly upstream: string;
  readonly connectTimeoutMs: number;
  readonly totalConnectTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxIdle: number;
  readonly pipelining: number;
  readonly bindToIpv4: string | undefined;
  readonly bindToIpv6: string | undefined;
  /** `undefined`: off. */
  readonly tcpKeepAlive: TcpKeepAlive | undefined;
  readonly proxyProtocol: ProxyProtocolVersion | undefined;
  readonly proxy: ConnectProxy | undefined;
  readonly connector: PeerConnector | undefined;
  /** `undefined`: the peer speaks HTTP from the first byte on. */
  readonly tls: ClientTls | undefined;
  /** Equal for peers that are reached in the same way, whatever is then spoken with them. */
  readonly wayKey: string;
  /** Connections with equal keys are interchangeable: everything that changes what one means is in it. */
  readonly poolKey: string;
  /** Is told of every request that goes to the peer, such as the balancer that has selected it. */
  observer: PeerObserver | undefined;
  readonly #options: PeerOptions;

  /**
   * @param address `host:port`, `[ipv6]:port`, or `unix:/path` for a Unix socket; or a peer, such
   *   as a balancer has selected, whose address is meant and whose options hold unless others are given
   * @throws {TypeError} the address is none of these, or an option is not known or makes no sense
   */
  constructor(address: string | HttpPeer, options: PeerOptions = {}) {
    if (typeof address !== 'string') {
      options = { ...address.#options, upstream: address.upstream, ...options };
      this.observer = address.observer;
      address = address.address;
    }
    refuseUnknown(`peer ${address}`, options, peerChecks);
    checkPeerOptions(address, options);
    this.#options = options;
    const { host, port, path } = parsePeerAddress(address, 'peer address');
    this.address = address;
    this.host = host;
    this.port = port;
    this.path = path;
    this.upstream = options.upstream ?? address;
    this.connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
    this.totalConnectTimeoutMs = options.totalConnectTimeoutMs ?? 10_000;
    this.readTimeoutMs = options.readTimeoutMs ?? 60_000;
    this.writeTimeoutMs = options.writeTimeoutMs ?? 60_000;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 60_000;
    this.maxIdle = options.maxIdle ?? 64;
    this.pipelining = options.pipelining ?? 1;
    this.bindToIpv4 = options.bindToIpv4;
    this.bindToIpv6 = options.bindToIpv6;
    const { tcpKeepAlive = KEEP_ALIVE } = options;
    this.tcpKeepAlive = tcpKeepAlive === false ? undefined : tcpKeepAlive;
    this.proxyProtocol = options.proxyProtocol;
    this.proxy = options.proxy && connectProxy(address, options.proxy);
    this.connector = options.connector;
    this.tls = options.tls === true ? clientTls(host, options) : undefined;
    this.wayKey = wayKeyOf(this);
    this.poolKey = poolKeyOf(this, options.groupKey);
  }

  /**
   * What a connection to the peer begins with, one byte per character; empty without the PROXY protocol.
   *
   * @param connection of the client; `undefined`: there is none, as for a probe
   */
  proxyHeader(connection: ProxiedConnection | undefined): string {
    const { proxyProtocol } = this;
    return proxyProtocol === undefined ? '' : proxyHeader(proxyProtocol, connection);
  }

  /**
   * The same host, reached in the same way, at another port; without the PROXY protocol, which is a matter
   * of the port.
   *
   * @throws {TypeError} a Unix socket has none, or it is not from 1 to 65535
   */
  atPort(port: number): HttpPeer {
    const { host, address, upstream } = this;
    if (this.path !== undefined) throw new TypeError(`peer ${address} has no port`);
    const other = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    return new HttpPeer(other, { ...this.#options, upstream, proxyProtocol: undefined });
  }
}

/** Between parts that cannot hold it. A program may make a peer for each request, and JSON would take a microsecond. */
const SEPARATOR = '\0';

function wayKeyOf({ address, bindToIpv4, bindToIpv6, proxy, connector }: HttpPeer): string {
  const plain = address + SEPARATOR + (bindToIpv4 ?? '') + SEPARATOR + (bindToIpv6 ?? '');
  if (proxy === undefined && connector === undefined) return plain;
  const by = connector === undefined ? '' : numberOf(connector);
  return plain + SEPARATOR + (proxy?.key ?? '') + SEPARATOR + by;
}

function poolKeyOf(peer: HttpPeer, groupKey = ''): string {
  const { upstream, tls, tcpKeepAlive } = peer;
  const { idleMs = 0, intervalMs = 0, count = 0 } = tcpKeepAlive ?? {};
  // A connection keeps the waits and bounds of the peer it was made for. Those of its
  // making are over once there is one.
  const bounds =
    `${peer.readTimeoutMs} ${peer.writeTimeoutMs} ${peer.idleTimeoutMs} ${peer.maxIdle} ` +
    `${peer.pipelining} ${idleMs} ${intervalMs} ${count} ${peer.proxyProtocol ?? ''}`;
  // These two may hold anything, so their lengths say where they end.
  const named = `${upstream.length} ${upstream}${groupKey.length} ${groupKey}`;
  return peer.wayKey + SEPARATOR + (tls?.key ?? '') + SEPARATOR + bounds + SEPARATOR + named;
}

/** Functions have no other identity that could stand in a key. */
const numbers = new WeakMap<PeerConnector, number>();
let lastNumber = 0;

function numberOf(connector: PeerConnector): number {
  let number = numbers.get(connector);
  if (number === undefined) {
    lastNumber += 1;
    number = lastNumber;
    numbers.set(connector, number);
  }
  return number;
}

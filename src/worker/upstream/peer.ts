/** One address that requests can be sent to, and how to talk to it. */
import { clientTls, type ClientTls, type ClientTlsOptions } from '../tls/client-tls.ts';

export interface PeerOptions extends ClientTlsOptions {
  /** Speaks TLS 1.3 or 1.2 with the peer, whose certificate is verified unless you say otherwise. Default false. */
  readonly tls?: boolean | undefined;
  /** For the connection to be made. Default 5,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Between two reads, and for the response head. Default 60,000 ms. */
  readonly readTimeoutMs?: number;
  /** For the peer to take what was written. Default 60,000 ms. */
  readonly writeTimeoutMs?: number;
  /** How long an idle connection is kept for the next request; 0 keeps none. Default 60,000 ms. */
  readonly idleTimeoutMs?: number;
  /** Idle connections kept to this peer, per worker. Default 64. */
  readonly maxIdle?: number;
  /**
   * How many requests may be under way on one connection, sent without waiting for
   * answers. Default 1: none. More pays where the proxy is the bottleneck and the
   * peer answers everything equally fast; elsewhere a slow answer delays all behind it.
   */
  readonly pipelining?: number;
  /** Requests with different keys never share a connection, though the address is the same. Default: none. */
  readonly groupKey?: string | undefined;
  /** The upstream's name, for logs and metrics. Default: the address. */
  readonly upstream?: string;
  /** Source address of IPv4 connections. */
  readonly bindToIpv4?: string | undefined;
  /** Source address of IPv6 connections. */
  readonly bindToIpv6?: string | undefined;
}

export class HttpPeer {
  /** `host:port` or `unix:/path`; names the peer in logs and metrics. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket; then `host` is `localhost` and `port` 0. */
  readonly path: string | undefined;
  readonly upstream: string;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxIdle: number;
  readonly pipelining: number;
  readonly bindToIpv4: string | undefined;
  readonly bindToIpv6: string | undefined;
  /** `undefined`: the peer speaks HTTP from the first byte on. */
  readonly tls: ClientTls | undefined;
  /** Connections with equal keys are interchangeable: everything that changes what one means is in it. */
  readonly poolKey: string;

  /**
   * @param address `host:port`, `[ipv6]:port`, or `unix:/path` for a Unix socket
   * @throws {TypeError} the address is none of these, or the options of TLS make no sense together
   */
  constructor(address: string, options: PeerOptions = {}) {
    const { host, port, path } = parseAddress(address);
    this.address = address;
    this.host = host;
    this.port = port;
    this.path = path;
    this.upstream = options.upstream ?? address;
    this.connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
    this.readTimeoutMs = options.readTimeoutMs ?? 60_000;
    this.writeTimeoutMs = options.writeTimeoutMs ?? 60_000;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 60_000;
    this.maxIdle = options.maxIdle ?? 64;
    this.pipelining = options.pipelining ?? 1;
    this.bindToIpv4 = options.bindToIpv4;
    this.bindToIpv6 = options.bindToIpv6;
    // Never in the clear what was asked to be encrypted.
    if (options.tls === true && this.path !== undefined)
      throw new TypeError(`peer ${address}: "tls" is for peers on TCP, not on Unix sockets`);
    this.tls = tlsFrom(host, options);
    this.poolKey = JSON.stringify([
      address,
      this.upstream,
      this.bindToIpv4 ?? '',
      this.bindToIpv6 ?? '',
      options.groupKey ?? '',
      // A connection keeps the waits and bounds of the peer it was made for.
      [this.readTimeoutMs, this.writeTimeoutMs, this.idleTimeoutMs, this.maxIdle, this.pipelining],
      this.tls?.key ?? '',
    ]);
  }
}

function tlsFrom(host: string, options: PeerOptions): ClientTls | undefined {
  if (options.tls === true) return clientTls(host, options);
  const given = TLS_OPTIONS.find((name) => options[name] !== undefined);
  // Else somebody would take a connection in the clear for an encrypted one.
  if (given !== undefined) throw new TypeError(`peer ${host}: "${given}" needs "tls: true"`);
  return undefined;
}

const TLS_OPTIONS = [
  'sni',
  'alternativeName',
  'verifyCert',
  'verifyHostname',
  'ca',
  'useSystemCerts',
  'cert',
  'key',
] as const satisfies readonly (keyof ClientTlsOptions)[];

const UNIX = /^unix:(\/[^\0]+)$/;
const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

interface ParsedAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string | undefined;
}

function parseAddress(address: string): ParsedAddress {
  const path = UNIX.exec(address)?.[1];
  if (path !== undefined) return { host: 'localhost', port: 0, path };
  const match = ADDRESS.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new TypeError(
      `peer address: expected "host:port", "[ipv6]:port" or "unix:/path", got ${JSON.stringify(address)}`,
    );
  }
  return { host, port, path };
}

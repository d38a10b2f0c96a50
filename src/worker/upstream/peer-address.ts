/** Where a peer, or a proxy on the way to one, listens. */
export interface PeerAddress {
  /** Of a Unix socket it is `localhost`. */
  readonly host: string;
  /** Of a Unix socket it is 0. */
  readonly port: number;
  /** Of a Unix socket. */
  readonly path: string | undefined;
}

const UNIX = /^unix:(\/[^\0]+)$/;
const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

/**
 * @param of what the address is, for the message
 * @throws {TypeError} it is neither `host:port` nor `[ipv6]:port` nor `unix:/path`
 */
export function parsePeerAddress(address: string, of: string): PeerAddress {
  const path = UNIX.exec(address)?.[1];
  if (path !== undefined) return { host: 'localhost', port: 0, path };
  const match = ADDRESS.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new TypeError(
      `${of}: expected "host:port", "[ipv6]:port" or "unix:/path", got ${JSON.stringify(address)}`,
    );
  }
  return { host, port, path };
}

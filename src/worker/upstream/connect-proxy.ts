/**
 * A proxy on the way to a peer, which is asked with CONNECT (RFC 9110 §9.3.6) to
 * open a connection to it and from then on passes bytes both ways.
 */
import { createHash } from 'node:crypto';
import { refuseUnknown } from '../../shared/config/options.ts';
import { Headers } from '../http/headers.ts';
import { requestHeadText } from '../protocol/http1/encode.ts';
import { parsePeerAddress, type PeerAddress } from './peer-address.ts';

export interface ConnectProxyOptions {
  /** `host:port`, `[ipv6]:port` or `unix:/path`. The proxy itself is spoken to in the clear. */
  readonly address: string;
  /** Shown to it as `Proxy-Authorization: Basic` (RFC 7617). */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
  /** Further fields of the request to it. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const OPTIONS = { address: true, credentials: true, headers: true } as const;

export interface ConnectProxy extends PeerAddress {
  /** As it was given, for messages. */
  readonly address: string;
  /** What it is asked, to the last byte. */
  readonly request: string;
  /** Equal for all that go the same way in the same name. Keeps no secret. */
  readonly key: string;
}

/**
 * @param peer `host:port`, as the proxy is to be asked for it
 * @throws {TypeError} an option cannot be meant, or would break the request
 */
export function connectProxy(peer: string, options: ConnectProxyOptions): ConnectProxy {
  refuseUnknown(`proxy of peer ${peer}`, options, OPTIONS);
  const { address, credentials, headers: more = {} } = options;
  const place = parsePeerAddress(address, `proxy of peer ${peer}`);
  const headers = new Headers();
  headers.set('Host', peer);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  if (credentials !== undefined) {
    const { username, password } = credentials;
    if (username.includes(':')) {
      throw new TypeError(`proxy of peer ${peer}: expected a username without ":"`);
    }
    const encoded = Buffer.from(`${username}:${password}`).toString('base64');
    headers.set('Proxy-Authorization', `Basic ${encoded}`);
  }
  const head = {
    method: 'CONNECT',
    target: peer,
    version: '1.1',
    authority: peer,
    headers,
  } as const;
  const request = requestHeadText(head, '');
  const key = createHash('sha256').update(request).digest('base64url');
  return { ...place, address, request, key: `${address} ${key}` };
}

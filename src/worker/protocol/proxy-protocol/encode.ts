/**
 * The header of the PROXY protocol, which tells a peer who the client is before a
 * byte of the client's own (proxy-protocol.txt by HAProxy, revision 2020/03/05).
 */
import { isIP, isIPv4 } from 'node:net';

export type ProxyProtocolVersion = 'v1' | 'v2';

/** Both ends of the client's connection; anything but an IP address is an end that cannot be told. */
export interface ProxiedConnection {
  readonly source: { readonly address: string; readonly port: number };
  readonly destination: { readonly address: string; readonly port: number };
}

/** §2.2: no protocol begins like this. */
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const LOCAL = '\x20';
const PROXY = '\x21';
const UNSPECIFIED = '\x00';
const TCP_OVER_IPV4 = '\x11';
const TCP_OVER_IPV6 = '\x21';

/**
 * @param connection `undefined`: nobody's, such as that of a probe
 * @returns bytes, one per character (Latin-1)
 */
export function proxyHeader(
  version: ProxyProtocolVersion,
  connection: ProxiedConnection | undefined,
): string {
  const known = connection === undefined ? undefined : ofOneFamily(connection);
  if (version === 'v1') {
    if (known === undefined) return 'PROXY UNKNOWN\r\n';
    const { family, source, destination } = known;
    return `PROXY TCP${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`;
  }
  if (known === undefined) return SIGNATURE + LOCAL + UNSPECIFIED + uint16(0);
  const { family, source, destination } = known;
  const bytesOf = family === 4 ? bytesOfIpv4 : bytesOfIpv6;
  const addresses = bytesOf(source.address) + bytesOf(destination.address);
  const body = addresses + uint16(source.port) + uint16(destination.port);
  const transport = family === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  return SIGNATURE + PROXY + transport + uint16(body.length) + body;
}

/** The protocol has one family for both ends; where they differ, IPv4 is written as a mapped address of IPv6. */
function ofOneFamily({
  source,
  destination,
}: ProxiedConnection): (ProxiedConnection & { readonly family: 4 | 6 }) | undefined {
  const from = unmapped(source.address);
  if (from === undefined) return undefined;
  const to = unmapped(destination.address) ?? (isIPv4(from) ? '0.0.0.0' : '::');
  const family = isIPv4(from) && isIPv4(to) ? 4 : 6;
  const inFamily = (address: string) =>
    family === 6 && isIPv4(address) ? `::ffff:${address}` : address;
  return {
    family,
    source: { address: inFamily(from), port: source.port },
    destination: { address: inFamily(to), port: destination.port },
  };
}

/** A dual-stack socket shows IPv4 as `::ffff:a.b.c.d`; the zone of a link means nothing elsewhere. */
function unmapped(address: string): string | undefined {
  const [bare = ''] = address.split('%');
  if (isIP(bare) === 0) return undefined;
  const mapped = /^::ffff:([\d.]+)$/i.exec(bare)?.[1];
  return mapped ?? bare;
}

function uint16(value: number): string {
  return String.fromCharCode(value >> 8, value & 0xff);
}

function bytesOfIpv4(address: string): string {
  return String.fromCharCode(...address.split('.').map(Number));
}

/** RFC 4291 §2.2: groups of 16 bits, `::` for a run of zeros, the last two perhaps as IPv4. */
function bytesOfIpv6(address: string): string {
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? '' : groupsOf(tail);
  return before + '\0'.repeat(16 - before.length - after.length) + after;
}

function groupsOf(text: string): string {
  if (text === '') return '';
  return text
    .split(':')
    .map((group) => (group.includes('.') ? bytesOfIpv4(group) : uint16(Number.parseInt(group, 16))))
    .join('');
}

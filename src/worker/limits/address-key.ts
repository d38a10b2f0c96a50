/**
 * The key of a client by its address: one spelling for each, and one key for all
 * addresses that a single client can choose from.
 *
 * Whoever has IPv6 has at least 2^64 addresses, so such a client is known by the
 * first bits of its address. An IPv4 address that a dual-stack socket shows as
 * IPv6 is the IPv4 address. Clients of a Unix socket have no address: all of
 * them share the key `unix:`.
 */

/** What a provider gives to one customer, at least (RFC 6177). */
export const IPV6_PREFIX = 64;

const GROUPS = 8;
const MAPPED = '0:0:0:0:0:ffff:';

/** @param ipv6Prefix how many bits of an IPv6 address tell clients apart */
export function addressKey(address: string, ipv6Prefix: number = IPV6_PREFIX): string {
  if (!address.includes(':') || address === 'unix:') return address;
  const groups = groupsOf(address);
  if (groups === undefined) return address;
  const spelled = hex(groups);
  if (spelled.startsWith(MAPPED)) {
    const [high = 0, low = 0] = groups.slice(-2);
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  return ipv6Prefix === 128 ? spelled : `${hex(masked(groups, ipv6Prefix))}/${ipv6Prefix}`;
}

function masked(groups: readonly number[], prefix: number): number[] {
  return groups.map((group, at) => {
    const bits = Math.min(16, Math.max(0, prefix - at * 16));
    return group & (0xffff << (16 - bits));
  });
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** `undefined`: it is no IPv6 address. */
function groupsOf(address: string): number[] | undefined {
  const [head = '', tail, more] = address.split('%', 1)[0]!.split('::');
  if (more !== undefined) return undefined;
  const left = groupsIn(head);
  const right = tail === undefined ? [] : groupsIn(tail);
  const missing = GROUPS - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 0) return undefined;
  const groups = [...left, ...Array.from({ length: missing }, () => 0), ...right];
  return groups.every((group) => group >= 0 && group <= 0xffff) ? groups : undefined;
}

/** The last ones may be written as an IPv4 address. */
function groupsIn(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.'))
      return /^[0-9a-f]{1,4}$/i.test(group) ? Number.parseInt(group, 16) : -1;
    const [a = -1, b = -1, c = -1, d = -1] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

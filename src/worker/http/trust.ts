/** Which addresses belong to proxies whose word about a client is believed. */
import { BlockList, isIP } from 'node:net';

export type Trust = (address: string) => boolean;

/**
 * @param ranges addresses and CIDR ranges, checked by the configuration
 * @returns `undefined` if nobody is trusted, so that the hot path has nothing to ask
 */
export function trustFrom(ranges: readonly string[]): Trust | undefined {
  if (ranges.length === 0) return undefined;
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => {
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; `check` would not match them.
    const plain =
      address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
    const version = isIP(plain);
    return version !== 0 && list.check(plain, version === 6 ? 'ipv6' : 'ipv4');
  };
}

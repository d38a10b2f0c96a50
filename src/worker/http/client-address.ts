/**
 * Who the client is when trusted proxies stand in front: the last address in
 * `X-Forwarded-For`, read from the right, that is not one of theirs. What stands
 * further left was written by that client and proves nothing.
 */
import { isIP } from 'node:net';
import type { Headers } from './headers.ts';
import type { Trust } from './trust.ts';

/** An honest chain is short; a forged one must not cost us more than this. */
const MAX_HOPS = 32;

/** @param connected address of the connection's other end */
export function clientAddress(
  headers: Headers,
  connected: string,
  trusts: Trust | undefined,
): string {
  if (trusts === undefined || !trusts(connected)) return connected;
  const chain = headers.getAll('x-forwarded-for').join(',').split(',').slice(-MAX_HOPS);
  let client = connected;
  for (const hop of chain.toReversed()) {
    const address = addressOf(hop.trim());
    // What cannot be read ends the chain: the last proxy that could be believed is all we know.
    if (address === undefined) return client;
    client = address;
    if (!trusts(address)) return client;
  }
  return client;
}

/** Some proxies add the port. */
function addressOf(hop: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? hop.replace(/^([\d.]+):\d+$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

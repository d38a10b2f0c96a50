/**
 * Who the client is when trusted proxies stand in front, as they say in one
 * field. In a chain (`X-Forwarded-For`, `Forwarded`) it is the last address, read
 * from the right, that is not one of theirs: what stands further left was
 * written by that client and proves nothing. `X-Real-IP` is no chain: the proxy
 * in front sets it.
 */
import { isIP } from 'node:net';
import type { Headers } from './headers.ts';
import type { Trust } from './trust.ts';

/** In which field trusted proxies say it. The others prove nothing, since a client may have sent them through. */
export type ClientIpField = 'x-forwarded-for' | 'forwarded' | 'x-real-ip';

/** Whose word is believed, and where it is looked for. */
export interface ClientAddressRules {
  readonly trusts: Trust | undefined;
  readonly field: ClientIpField;
}

/** An honest chain is short; a forged one must not cost us more than this. */
const MAX_HOPS = 32;

/** @param connected address of the connection's other end */
export function clientAddress(
  headers: Headers,
  connected: string,
  { trusts, field }: ClientAddressRules,
): string {
  if (trusts === undefined || !trusts(connected)) return connected;
  let client = connected;
  for (const hop of hopsIn(headers.getAll(field), field).toReversed()) {
    const address = addressOf(hop.trim());
    // What cannot be read ends the chain: the last proxy that could be believed is all we know.
    if (address === undefined) return client;
    client = address;
    if (!trusts(address)) return client;
  }
  return client;
}

function hopsIn(lines: readonly string[], field: ClientIpField): string[] {
  switch (field) {
    case 'x-forwarded-for':
      return lines.join(',').split(',').slice(-MAX_HOPS);
    case 'forwarded':
      return elementsOf(lines.join(',')).slice(-MAX_HOPS).map(forOf);
    case 'x-real-ip':
      // Two of them: one is the client's, and nobody knows which.
      return lines.length === 1 ? [...lines] : [''];
  }
}

/** Split at commas that are not in quotes (RFC 7239 section 4). Where quotes do not end, nothing can be read. */
function elementsOf(chain: string): string[] {
  const parts = chain.split('"');
  if (parts.length % 2 === 0) return [''];
  const elements = [''];
  for (const [at, part] of parts.entries()) {
    const isQuoted = at % 2 === 1;
    const [first = '', ...others] = isQuoted ? [part] : part.split(',');
    elements[elements.length - 1] += first;
    elements.push(...others);
  }
  return elements;
}

/** The node of the one `for` of an element; empty if there is none, or several. */
function forOf(element: string): string {
  const nodes = element.split(';').flatMap((pair) => /^\s*for=(.*)$/i.exec(pair)?.[1] ?? []);
  return nodes.length === 1 ? nodes[0]! : '';
}

/** Some proxies add the port. */
function addressOf(hop: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? hop.replace(/^([\d.]+):\d+$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

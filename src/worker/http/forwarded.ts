/**
 * What the peer is told about the client and the way its request took:
 * `X-Forwarded-For`, `-Proto` and `-Host`, `Forwarded` (RFC 7239) and `Via`
 * (RFC 9110 §7.6.3).
 *
 * From a client nobody vouches for, its own claims are taken away first, else
 * anyone could pretend to come from anywhere: those that Sluice does not make
 * itself too, such as `X-Real-IP`, because there are peers that believe them. From a trusted proxy the chain is
 * kept and its address appended.
 */
import { isIPv6 } from 'node:net';
import type { Exchange } from './exchange.ts';
import type { Headers } from './headers.ts';
import { CLAIMS, NameSet } from './name-set.ts';
import type { Trust } from './trust.ts';

/** What is said upstream beyond `X-Forwarded-*`, which always is. */
export interface ForwardedOptions {
  /** Whose claims are believed; nobody's if absent. */
  readonly trusts?: Trust | undefined;
  /** Say it in the words of RFC 7239 as well. */
  readonly forwarded?: boolean;
  /** Our name in `Via`; `undefined` leaves the field as it came. */
  readonly via?: string | undefined;
}

/**
 * Never passed on, whoever sends them: twins of claims, since nobody honest
 * writes them so, and `Proxy`, which becomes `HTTP_PROXY`, by which the peer's
 * own requests could be led astray.
 */
const NEVER = new NameSet(['proxy'], CLAIMS);
const NEVER_OR_CLAIMED = new NameSet(['proxy', ...CLAIMS], CLAIMS);

export function setForwarded(
  headers: Headers,
  exchange: Exchange,
  { trusts, forwarded = false, via }: ForwardedOptions,
): void {
  const { scheme } = exchange;
  const { address } = exchange.client;
  const { authority, version } = exchange.request;
  if (trusts === undefined || !trusts(address)) {
    headers.deleteAll(NEVER_OR_CLAIMED);
    headers.push('X-Forwarded-For', address);
    headers.push('X-Forwarded-Proto', scheme);
    if (authority !== '') headers.push('X-Forwarded-Host', authority);
    if (forwarded) headers.push('Forwarded', forwardedElement(address, scheme, authority));
  } else {
    headers.deleteAll(NEVER);
    extend(headers, 'X-Forwarded-For', address);
    if (!headers.has('x-forwarded-proto')) headers.push('X-Forwarded-Proto', scheme);
    if (authority !== '' && !headers.has('x-forwarded-host')) {
      headers.push('X-Forwarded-Host', authority);
    }
    if (forwarded) extend(headers, 'Forwarded', forwardedElement(address, scheme, authority));
  }
  if (via !== undefined) addVia(headers, `${version} ${via}`);
}

function addVia(headers: Headers, element: string): void {
  if (headers.has('via')) extend(headers, 'Via', element);
  else headers.push('Via', element);
}

/** One field with everything that was there and the new element last. */
function extend(headers: Headers, name: string, element: string): void {
  const chain = headers.getAll(name).filter((part) => part !== '');
  headers.set(name, [...chain, element].join(', '));
}

/** RFC 7239 §4: what is no token stands in quotes. */
function forwardedElement(address: string, scheme: string, authority: string): string {
  const node = isIPv6(address) ? `"[${address}]"` : address;
  const host = authority === '' ? '' : `;host="${authority}"`;
  return `for=${node};proto=${scheme}${host}`;
}

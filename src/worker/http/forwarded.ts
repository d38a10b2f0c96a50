/**
 * What the peer is told about the client: `X-Forwarded-For`, `-Proto`, `-Host`.
 *
 * From a client nobody vouches for, its own claims are overwritten, else anyone
 * could pretend to come from anywhere, and `Forwarded` (RFC 7239), which says the
 * same in other words, is removed. From a trusted proxy the chain is kept and its
 * address appended.
 */
import type { Exchange } from './exchange.ts';
import type { Headers } from './headers.ts';

export type Trust = (address: string) => boolean;

export function setForwarded(
  headers: Headers,
  exchange: Exchange,
  trusts: Trust | undefined,
): void {
  const { address } = exchange.client;
  const { authority } = exchange.request;
  if (trusts === undefined || !trusts(address)) {
    headers.delete('forwarded');
    headers.set('X-Forwarded-For', address);
    headers.set('X-Forwarded-Proto', exchange.scheme);
    if (authority === '') headers.delete('x-forwarded-host');
    else headers.set('X-Forwarded-Host', authority);
    return;
  }
  const chain = headers.getAll('x-forwarded-for').filter((part) => part !== '');
  headers.set('X-Forwarded-For', [...chain, address].join(', '));
  if (!headers.has('x-forwarded-proto')) headers.set('X-Forwarded-Proto', exchange.scheme);
  if (authority !== '' && !headers.has('x-forwarded-host')) {
    headers.set('X-Forwarded-Host', authority);
  }
}

/** Who may read the admin pages. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { Place } from '../../shared/ipc/place.ts';

export interface AskedBy {
  readonly host: string | undefined;
  readonly authorization: string | undefined;
}

export interface Refusal {
  readonly status: 401 | 421;
  readonly error: string;
}

/** @returns why the request is refused; `undefined` if it is not */
export function refusalOf(
  { host, authorization }: AskedBy,
  place: Place,
  token: string | undefined,
  open: boolean,
): Refusal | undefined {
  if (token === undefined) {
    if ('path' in place || isDirect(host, place.host)) return undefined;
    return {
      status: 421,
      error: 'ask for this page by its address: a name could be somebody else’s',
    };
  }
  // A web page of somebody else's has no token, whatever name it asks by.
  if (open || isToken(authorization, token)) return undefined;
  return { status: 401, error: 'expected the header "Authorization: Bearer" with admin.token' };
}

/**
 * A web page elsewhere could point its own name at this address and read what it
 * gets (DNS rebinding); it cannot send an address as its Host.
 */
function isDirect(hostField: string | undefined, listenHost: string): boolean {
  const host = (hostField ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 || host === 'localhost' || host === listenHost;
}

/** In a time that tells nothing about how much of it was right. */
function isToken(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

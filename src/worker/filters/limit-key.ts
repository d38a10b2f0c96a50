/** Whose allowance a request spends, as a configuration says; and whether it spends any. */
import { hash } from 'node:crypto';
import type { LimitKeyPart } from '../../shared/config/kinds.ts';
import type { RateLimitSettings } from '../../shared/config/settings.ts';
import { cookieOf } from '../http/cookie.ts';
import { trustFrom } from '../http/trust.ts';
import { addressKey } from '../limits/address-key.ts';
import type { Session } from '../proxy/session.ts';

/** `undefined`: the request is not limited. */
export type LimitKeyOf = (session: Session) => string | undefined;

/** No value of a request can contain it, so that no two combinations look the same. */
const BETWEEN = '\n';

export function limitKey({
  key: parts,
  ipv6_prefix: ipv6Prefix,
  methods,
  exempt,
  exempt_keys: exemptKeys,
}: RateLimitSettings): LimitKeyOf {
  const valuesOf = parts.map((part) => partOf(part, ipv6Prefix));
  const [only] = valuesOf;
  const isExempt = trustFrom(exempt);
  const free = new Set(exemptKeys);
  return (session) => {
    if (methods !== undefined && !methods.includes(session.request.method)) return undefined;
    if (isExempt?.(session.clientIp) === true) return undefined;
    if (valuesOf.length === 1) {
      const value = only!(session);
      return free.size > 0 && free.has(plain(value)) ? undefined : value;
    }
    const values = valuesOf.map((valueOf) => valueOf(session));
    if (free.size > 0 && values.some((value) => free.has(plain(value)))) return undefined;
    return values.join(BETWEEN);
  };
}

/**
 * A key as the log may have it: what a header or a cookie says can be a secret,
 * so of those it is a hash.
 */
export function loggedKey(key: string): string {
  return key
    .split(BETWEEN)
    .map((value) => (value.startsWith(FIELD) ? hash('sha256', plain(value)).slice(0, 12) : value))
    .join(' ');
}

/** Before what a client can choose freely, so that it cannot choose to look like an address. */
const FIELD = '\r';

function plain(value: string): string {
  return value.startsWith(FIELD) ? value.slice(FIELD.length) : value;
}

/** Where the request has no such header or cookie, its client's address stands for it. */
function partOf(part: LimitKeyPart, ipv6Prefix: number): (session: Session) => string {
  const address = ({ clientIp }: Session) => addressKey(clientIp, ipv6Prefix);
  switch (part.kind) {
    case 'client_ip':
      return address;
    case 'host':
      return fieldOr(address, ({ request }) => request.headers.get('host')?.toLowerCase());
    case 'method':
      return ({ request }) => request.method;
    case 'path':
      return ({ request }) => request.target.split('?', 1)[0]!;
    case 'uri':
      return ({ request }) => request.target;
    case 'header':
      return fieldOr(address, ({ request }) => request.headers.get(part.name));
    case 'cookie':
      return fieldOr(address, ({ request }) => cookieOf(request.headers, part.name));
  }
}

function fieldOr(
  address: (session: Session) => string,
  valueOf: (session: Session) => string | undefined,
): (session: Session) => string {
  return (session) => {
    const value = valueOf(session);
    return value === undefined ? address(session) : FIELD + value;
  };
}

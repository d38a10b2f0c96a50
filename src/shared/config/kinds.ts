/** Kinds of values that a configuration file writes with units or in a form of their own. */
import { isIP, isIPv4 } from 'node:net';
import * as z from 'zod';
import { RATE_EXAMPLES, rateOf, type Rate } from '../text/rate.ts';

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1_000,
  KiB: 1_024,
  MB: 1_000_000,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
  TiB: 1_099_511_627_776,
};

/** Relative ones begin in `working_directory`. */
export const filePath = z.string().min(1);

interface Range {
  readonly min: string;
  readonly max: string;
}

/** `"60s"`, `"500ms"`; comes out in milliseconds. */
export function duration({ min, max }: Range) {
  return withUnit('a duration with a unit, such as "60s" or "500ms"', DURATION_UNITS, { min, max });
}

/** `"16KiB"`, `"8MiB"`; comes out in bytes. */
export function size({ min, max }: Range) {
  return withUnit('a size with a unit, such as "16KiB" or "8MiB"', SIZE_UNITS, { min, max });
}

function withUnit(expected: string, units: Readonly<Record<string, number>>, { min, max }: Range) {
  const lowest = amountOf(min, units);
  const highest = amountOf(max, units);
  if (lowest === undefined || highest === undefined)
    throw new TypeError(`expected ${expected} as bounds, got ${min} and ${max}`);
  return z.unknown().transform((given, context): number => {
    const amount = typeof given === 'string' ? amountOf(given, units) : undefined;
    if (amount === undefined)
      return refuse(context, `expected ${expected}, got ${JSON.stringify(given)}`);
    if (amount >= lowest && amount <= highest) return amount;
    return refuse(context, `expected ${min} to ${max}, got ${JSON.stringify(given)}`);
  });
}

function amountOf(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  return digits === undefined || factor === undefined
    ? undefined
    : Math.round(Number(digits) * factor);
}

/** `"10/s"`, `"600/m"`, `"100/h"`, `"5000/d"`. */
export const rate = z.unknown().transform((given, context): Rate => {
  const found = typeof given === 'string' ? rateOf(given) : undefined;
  if (found !== undefined) return found;
  return refuse(context, `expected a rate such as ${RATE_EXAMPLES}, got ${JSON.stringify(given)}`);
});

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `"127.0.0.1:6188"`, `"[::1]:80"`, `"localhost:6188"`, where port 0 lets the system choose, or a Unix socket: `"unix:/run/sluice.sock"`. */
export const listenPlace = z.unknown().transform((given, context): Address | UnixPath => {
  const place = unixPathOf(given) ?? addressOf(given);
  if (place !== undefined && ('path' in place || isNumericOrLocal(place.host))) return place;
  return refuse(
    context,
    `expected an IP address and a port, such as "127.0.0.1:6188" or "[::1]:6188", or a Unix socket, such as "unix:/run/sluice.sock", got ${JSON.stringify(given)}`,
  );
});

export interface UnixPath {
  readonly path: string;
}

/** `"0660"`: in quotes, since YAML would read the bare number as six hundred and sixty. */
export const fileMode = z.unknown().transform((given, context): number => {
  if (typeof given === 'string' && /^0?[0-7]{3}$/.test(given)) return Number.parseInt(given, 8);
  return refuse(context, `expected a mode in quotes, such as "0660", got ${JSON.stringify(given)}`);
});

/** A host, which may be a name, and a port; or a Unix socket, by its path from the root. */
export const peerAddress = z.unknown().transform((given, context): Address | UnixPath => {
  const place = unixPathOf(given) ?? addressOf(given);
  if (place !== undefined && ('path' in place ? place.path.startsWith('/') : place.port !== 0))
    return place;
  return refuse(
    context,
    `expected "host:port", "[ipv6]:port" or "unix:/path", got ${JSON.stringify(given)}`,
  );
});

/** The kernel takes so many bytes of a path. */
const MAX_UNIX_PATH = 107;

function unixPathOf(given: unknown): UnixPath | undefined {
  const path = typeof given === 'string' ? /^unix:([^\0]+)$/s.exec(given)?.[1] : undefined;
  return path !== undefined && Buffer.byteLength(path) <= MAX_UNIX_PATH ? { path } : undefined;
}

function isNumericOrLocal(host: string): boolean {
  return isIP(host) !== 0 || host === 'localhost';
}

function addressOf(given: unknown): Address | undefined {
  if (typeof given !== 'string') return undefined;
  const [, v6, name, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(given) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  // Digits and dots that are no address are a mistyped one, never a name.
  if (v6 === undefined && /^[\d.]+$/.test(host) && !isIPv4(host)) return undefined;
  return { host, port };
}

/** An address, or a range such as `10.0.0.0/8`. */
export const cidr = z.string().refine(
  (text) => {
    const [address = '', prefix, extra] = text.split('/');
    const version = isIP(address);
    if (version === 0 || extra !== undefined) return false;
    return (
      prefix === undefined ||
      (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 6 ? 128 : 32))
    );
  },
  {
    error: ({ input }) =>
      `expected an IP address or range such as "10.0.0.0/8", got ${JSON.stringify(input)}`,
  },
);

export const ipv4 = z
  .string()
  .refine((text) => isIP(text) === 4, { error: 'expected an IPv4 address' });
export const ipv6 = z
  .string()
  .refine((text) => isIP(text) === 6, { error: 'expected an IPv6 address' });

/** Methods are case-sensitive (RFC 9110 §9.1), and nobody has registered one in lower case. */
export const method = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Z]+$/, {
  error: ({ input }) => `expected a method in capitals such as "GET", got ${JSON.stringify(input)}`,
});

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export const token = z.string().regex(TOKEN, {
  error: ({ input }) =>
    `expected a header name such as "x-request-id", got ${JSON.stringify(input)}`,
});

export const headerValue = z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, {
  error: ({ input }) => `expected text without control characters, got ${JSON.stringify(input)}`,
});

/** What of a request tells whose it is. */
export type RequestKey =
  | { readonly kind: 'client_ip' | 'host' | 'path' | 'uri' }
  | { readonly kind: 'header' | 'cookie'; readonly name: string };

export const requestKey = z.unknown().transform((given, context): RequestKey => {
  const key = requestKeyOf(given);
  if (key !== undefined) return key;
  return refuse(
    context,
    `expected client_ip, host, path, uri, header:NAME or cookie:NAME, got ${JSON.stringify(given)}`,
  );
});

function requestKeyOf(given: unknown): RequestKey | undefined {
  if (given === 'client_ip' || given === 'host' || given === 'path' || given === 'uri')
    return { kind: given };
  const [, kind, name = ''] = /^(header|cookie):(.+)$/.exec(String(given)) ?? [];
  const isField = (kind === 'header' || kind === 'cookie') && TOKEN.test(name);
  return isField ? { kind, name } : undefined;
}

/** As a limit has it: a part of the request, or several. */
export type LimitKeyPart = RequestKey | { readonly kind: 'method' };

export const limitKey = z.unknown().transform((given, context): LimitKeyPart[] => {
  const list: unknown[] = Array.isArray(given) ? given : [given];
  const parts = list.flatMap((each): LimitKeyPart | [] =>
    each === 'method' ? { kind: each } : (requestKeyOf(each) ?? []),
  );
  if (parts.length === list.length && parts.length > 0 && parts.length <= 8) return parts;
  return refuse(
    context,
    `expected client_ip, host, path, uri, method, header:NAME, cookie:NAME, or a list of up to 8 of them, got ${JSON.stringify(given)}`,
  );
});

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

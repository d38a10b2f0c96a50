/**
 * Fields that speak about one connection and must not travel further
 * (RFC 9110 §7.6.1): the well-known ones, and those that `Connection` names.
 *
 * They go *before* Sluice adds its own fields, so that a client cannot name
 * `X-Forwarded-For` in `Connection` and have ours removed.
 */
import type { Headers } from './headers.ts';

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/**
 * Naming one of these in `Connection` would change what the message means, who
 * sent it, or where it came from, so they stay. A trusted proxy in front may
 * pass on a `Connection` that its client made up.
 */
const NEVER_NOMINATED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'cache-control',
  'authorization',
  'cookie',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

/** Lengths that occur among the well-known names: a cheap first look at each field. */
const LENGTHS: ReadonlySet<number> = new Set([...HOP_BY_HOP].map((name) => name.length));

/** Removes them in place. `Trailer` and `TE` go too: each side negotiates its own. */
export function removeHopByHop(headers: Headers): void {
  const nominated = nominatedBy(headers);
  if (nominated === undefined) {
    headers.filter((name) => !isHopByHop(name));
    return;
  }
  headers.filter((name) => !isHopByHop(name) && !nominated.has(name.toLowerCase()));
}

function isHopByHop(name: string): boolean {
  return LENGTHS.has(name.length) && HOP_BY_HOP.has(name.toLowerCase());
}

/** What `Connection` names beyond the options that everybody sends. */
function nominatedBy(headers: Headers): Set<string> | undefined {
  const values = headers.getAll('connection');
  if (values.every(isPlainOption)) return undefined;
  const names = values
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => !NEVER_NOMINATED.has(name));
  return new Set(names);
}

function isPlainOption(value: string): boolean {
  return value === 'keep-alive' || value === 'close' || value === 'Keep-Alive' || value === 'Close';
}

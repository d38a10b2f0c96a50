/**
 * Fields that speak about one connection and must not travel further
 * (RFC 9110 §7.6.1): the well-known ones, and those that `Connection` names.
 *
 * They go *before* Sluice adds its own fields, so that a client cannot name
 * `X-Forwarded-For` in `Connection` and have ours removed.
 */
import type { Headers } from './headers.ts';
import { knownNames, UNDERSCORED } from './known-names.ts';
import { CLAIMS, NameSet } from './name-set.ts';

const CONNECTION = knownNames('connection');

const HOP_BY_HOP_NAMES = [
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
] as const;

const HOP_BY_HOP = knownNames(...HOP_BY_HOP_NAMES);
/** They go too: a peer that takes `Transfer_Encoding` for the real one must not see it. */
const TWINS = new NameSet([], [...HOP_BY_HOP_NAMES, 'content-length']);

/**
 * Naming one of these in `Connection` would change what the message means, who
 * sent it, or where it came from, so they stay. A trusted proxy in front may
 * pass on a `Connection` that its client made up.
 */
const NEVER_NOMINATED = new NameSet([
  'host',
  'content-length',
  'cache-control',
  'authorization',
  'cookie',
  ...CLAIMS,
]);

/** Removes them in place. `Trailer` and `TE` go too: each side negotiates its own. */
export function removeHopByHop(headers: Headers): void {
  if (headers.lacks(HOP_BY_HOP | UNDERSCORED)) return;
  if (!headers.lacks(UNDERSCORED)) headers.deleteAll(TWINS);
  const nominated = nominatedBy(headers);
  headers.remove(HOP_BY_HOP);
  if (nominated !== undefined) headers.deleteAll(nominated);
}

/** What `Connection` names beyond the options that everybody sends. */
function nominatedBy(headers: Headers): NameSet | undefined {
  if (headers.lacks(CONNECTION)) return undefined;
  if (!headers.repeats(CONNECTION) && isPlainOption(headers.known(CONNECTION, 'connection')!))
    return undefined;
  const names = headers
    .getAll('connection')
    .flatMap((value) => value.split(','))
    .map((name) => name.trim())
    .filter((name) => !NEVER_NOMINATED.has(name));
  return new NameSet(names);
}

function isPlainOption(value: string): boolean {
  return value === 'keep-alive' || value === 'close' || value === 'Keep-Alive' || value === 'Close';
}

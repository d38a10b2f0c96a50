/**
 * Lets a request pass only with one of the known keys in a header.
 *
 * Keys are compared as digests: then the time a comparison takes says nothing
 * about how much of a guess was right, and a memory dump shows no key.
 *
 * The peer gets the header that was judged and no twin of it: it might take
 * `X_Api_Key` for the key, of which nobody here has seen the value.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { NameSet } from '../http/name-set.ts';
import type { Filter } from './filter.ts';

export interface ApiKeyOptions {
  readonly header: string;
  readonly keys: readonly string[];
}

export function apiKey({ header, keys }: ApiKeyOptions): Filter {
  const digests = keys.map(digest);
  const twins = new NameSet([], [header]);
  return {
    name: 'api-key',

    requestFilter(session) {
      // A phase makes it, for a request that has shown a key.
      if (session.parent !== undefined) return undefined;
      const given = session.request.headers.get(header);
      if (given !== undefined && isKnown(digest(given), digests)) return undefined;
      return session.respondError(401, { 'www-authenticate': `ApiKey header="${header}"` });
    },

    upstreamRequestFilter(_session, { headers }) {
      headers.deleteAll(twins);
    },
  };
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** Looks at every key whatever the first ones say, so that the time tells nothing. */
function isKnown(given: Buffer, digests: readonly Buffer[]): boolean {
  let known = false;
  for (const each of digests) known = timingSafeEqual(given, each) || known;
  return known;
}

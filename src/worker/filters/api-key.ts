/**
 * Lets a request pass only with one of the known keys in a header.
 *
 * Keys are compared as digests: then the time a comparison takes says nothing
 * about how much of a guess was right, and a memory dump shows no key.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Filter } from './filter.ts';

export interface ApiKeyOptions {
  readonly header: string;
  readonly keys: readonly string[];
}

export function apiKey({ header, keys }: ApiKeyOptions): Filter {
  const digests = keys.map(digest);
  return {
    name: 'api-key',

    requestFilter(session) {
      const given = session.request.headers.get(header);
      if (given !== undefined && isKnown(digest(given), digests)) return undefined;
      return session.respondError(401, { 'www-authenticate': `ApiKey header="${header}"` });
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

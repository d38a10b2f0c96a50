/**
 * Sets, adds and removes header fields of requests on their way up, or of
 * responses on their way down.
 *
 * A client's twins of the names that a request's rule speaks of never pass: the
 * peer might take `X_User` for the `X-User` that was set, or for the one that
 * was removed so that nobody can send it.
 */
import type { Headers } from '../http/headers.ts';
import { NameSet } from '../http/name-set.ts';
import type { Filter } from './filter.ts';

export interface HeaderEdits {
  readonly set?: Readonly<Record<string, string>> | undefined;
  readonly add?: Readonly<Record<string, string>> | undefined;
  readonly remove?: readonly string[] | undefined;
}

export function requestHeaders(edits: HeaderEdits): Filter {
  const { set = {}, add = {}, remove = [] } = edits;
  const twins = new NameSet([], [...Object.keys(set), ...Object.keys(add), ...remove]);
  return {
    name: 'request-headers',
    upstreamRequestFilter(_session, { headers }) {
      // First, so that a rule may still set two spellings on purpose.
      headers.deleteAll(twins);
      apply(edits, headers);
    },
  };
}

export function responseHeaders(edits: HeaderEdits): Filter {
  return {
    name: 'response-headers',
    responseFilter(_session, { headers }) {
      apply(edits, headers);
    },
  };
}

/** Removal first, so that one rule can replace a field by several. */
function apply({ set = {}, add = {}, remove = [] }: HeaderEdits, headers: Headers): void {
  for (const name of remove) headers.delete(name);
  for (const [name, value] of Object.entries(set)) headers.set(name, value);
  for (const [name, value] of Object.entries(add)) headers.append(name, value);
}

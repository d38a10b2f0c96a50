/**
 * A reusable step: some phases under a name, such as "api key" or "compression".
 * Filters are put together with a proxy once, by `withFilters`.
 */
import type { Phases } from './proxy-http.ts';

/**
 * Any phases but those of which there can be only one: who makes the context, who chooses the peer,
 * and what a connection remembers is up to the proxy.
 */
export type Filter<Ctx = unknown> = Omit<
  Phases<Ctx>,
  'newCtx' | 'upstreamPeer' | 'persistConnectionContext' | 'onConnectionReuse'
> & {
  readonly name: string;
};

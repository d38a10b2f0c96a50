/** The built-in steps of a route, and their order. */
import type { Filter as AnyFilter } from '../proxy/filter.ts';

export type Filter = AnyFilter & { readonly name: FilterName };

/**
 * The order in which built-in filters see a request. It is fixed here and not in
 * the configuration file: a wrong order is a security hole that no test of a
 * single filter can find.
 */
export const filterOrder = [
  'rate-limit-address', // the cheapest refusal first: it needs nothing but the address
  'api-key', //            before anything that costs a peer's work
  'request-headers', //    after both, which judge what the client itself sent
  'response-headers',
] as const;

export type FilterName = (typeof filterOrder)[number];

export function inOrder(filters: readonly Filter[]): Filter[] {
  return [...filters].sort((a, b) => filterOrder.indexOf(a.name) - filterOrder.indexOf(b.name));
}

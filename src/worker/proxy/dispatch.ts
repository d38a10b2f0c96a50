/**
 * One proxy made of several: the first route that matches says whose phases a
 * request runs through, all of them and with the context of that proxy, as if
 * there were no other. The choice is made once for a request, before its first
 * phase, and costs what matching costs.
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import type { RouteMatch } from '../router/router.ts';
import type { Filter } from './filter.ts';
import type { ProxyHttp } from './proxy-http.ts';

export interface DispatchRoute {
  /** All conditions must hold; without any, every request matches. */
  readonly match?: RouteMatch;
  /** May be a dispatch itself. */
  readonly proxy: ProxyHttp<unknown>;
}

/** What `dispatch` makes. Its routes are opened by the service that has it (`open-proxy.ts`). */
export class Dispatch {
  readonly routes: readonly DispatchRoute[];
  /** In front of whichever proxy is chosen, and of the 404 where none is. */
  readonly filters: readonly Filter[];

  constructor(routes: readonly DispatchRoute[], filters: readonly Filter[]) {
    this.routes = routes;
    this.filters = filters;
  }

  /** Never called: requests go to the proxies of the routes. It makes this a `ProxyHttp`. */
  upstreamPeer(): never {
    throw new Error('a dispatch has no phases of its own; give it to a service as it is');
  }
}

/**
 * Chooses a proxy for each request: that of the first route that matches, or a 404.
 * `connectionFilter` of every proxy sees every connection, which has no route yet.
 *
 * @throws {TypeError} there are no routes, or a condition is none
 */
export function dispatch(routes: readonly DispatchRoute[]): ProxyHttp<unknown> {
  if (routes.length === 0) throw new TypeError('dispatch: expected at least one route, got none');
  for (const [at, { match = {} }] of routes.entries()) checkMatch(match, at);
  return new Dispatch(routes, []);
}

const CONDITIONS = { host: true, path: true, methods: true } as const;

function checkMatch(match: RouteMatch, at: number): void {
  refuseUnknown(`dispatch: route ${at}`, match, CONDITIONS);
  const { host, path, methods } = match;
  const fail = (expected: string, got: unknown) => {
    throw new TypeError(`dispatch: route ${at}: expected ${expected}, got ${JSON.stringify(got)}`);
  };
  if (path !== undefined && !path.startsWith('/')) fail('a path that begins with /', path);
  const stars = [host?.replace(/^\*\./, ''), path?.replace(/\/\*$/, '')];
  if (stars.some((rest) => rest?.includes('*')))
    fail('a host such as *.example.com or a path such as /a/*', host ?? path);
  for (const method of methods ?? [])
    if (!/^[A-Z]+$/.test(method)) fail('methods in capitals', method);
}

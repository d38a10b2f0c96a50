/**
 * Makes of a proxy what a listener gives its requests to. A plain one is a single
 * `ProxyService`; a dispatch is one for each route, and one for what none of them
 * matches.
 */
import type { Exchange, SocketAddress } from '../http/exchange.ts';
import { normalizePath, type PathAllowances } from '../http/path.ts';
import { Router } from '../router/router.ts';
import { boundPhases, withFilters } from './compose.ts';
import { Dispatch } from './dispatch.ts';
import type { Filter } from './filter.ts';
import { handleRequest } from './handle-request.ts';
import type { ProxyHttp } from './proxy-http.ts';
import type { ProxyService } from './proxy-service.ts';

export interface OpenProxy {
  /** Never throws: the exchange is answered or aborted, whatever happens. */
  handle(exchange: Exchange): void;
  /** `undefined`: everybody may. */
  readonly mayConnect: ProxyService['mayConnect'];
}

/** @param open makes the service of one proxy; called once for each that there is */
export function openProxy(
  proxy: ProxyHttp<unknown>,
  open: (proxy: ProxyHttp<unknown>) => ProxyService,
): OpenProxy {
  if (proxy instanceof Dispatch) return new OpenDispatch(proxy, open);
  const service = open(proxy);
  return {
    handle: (exchange) => handleRequest(exchange, service),
    mayConnect: service.mayConnect,
  };
}

class OpenDispatch implements OpenProxy {
  readonly mayConnect: OpenProxy['mayConnect'];
  readonly #router: Router<OpenProxy>;
  readonly #unmatched: ProxyService;
  readonly #paths: PathAllowances;

  constructor({ routes, filters }: Dispatch, open: (proxy: ProxyHttp<unknown>) => ProxyService) {
    const perRequest = filters.map(withoutConnectionFilter);
    const opened = routes.map(({ match, proxy }) => ({
      match,
      route: openProxy(withOwnMemory(withFilters(perRequest, proxy)), open),
    }));
    this.#router = new Router(opened);
    this.#unmatched = open(withFilters(filters, NO_ROUTE));
    this.#paths = this.#unmatched.paths;
    this.mayConnect = allOf([this.#unmatched, ...opened.map(({ route }) => route)]);
  }

  handle(exchange: Exchange): void {
    const route = this.#find(exchange);
    if (route === undefined) handleRequest(exchange, this.#unmatched);
    else route.handle(exchange);
  }

  #find({ request, refusal }: Exchange): OpenProxy | undefined {
    // It could not be read, or must not be served: there is nothing to go by.
    if (refusal !== undefined) return undefined;
    const { method, authority, target } = request;
    try {
      return this.#router.find({ method, authority, target: normalizePath(target, this.#paths) });
    } catch {
      // Of a path that is not allowed the service says so itself.
      return undefined;
    }
  }
}

const NO_ROUTE: ProxyHttp = {
  requestFilter(session) {
    const { method, target, authority } = session.request;
    session.log.debug({ request: `${method} ${target}, Host: ${authority}` }, 'no route matches');
    return session.respondError(404);
  },
  upstreamPeer() {
    throw new Error('where no route matches there is no peer');
  },
};

/** Connections have no route: what a filter in front of all routes says about one is asked once. */
function withoutConnectionFilter(filter: Filter): Filter {
  const { connectionFilter: _, ...phases } = boundPhases(filter);
  return { ...phases, name: filter.name };
}

/** What a request of one proxy has left on the connection is not for a request of another. */
function withOwnMemory(proxy: ProxyHttp<unknown>): ProxyHttp<unknown> {
  if (proxy instanceof Dispatch || proxy.persistConnectionContext === undefined) return proxy;
  return {
    ...proxy,
    persistConnectionContext(session) {
      const value = proxy.persistConnectionContext!(session);
      return value === undefined ? undefined : new Kept(proxy, value);
    },
    onConnectionReuse(session, kept) {
      if (kept instanceof Kept && kept.by === proxy) proxy.onConnectionReuse?.(session, kept.value);
    },
  };
}

class Kept {
  readonly by: ProxyHttp<unknown>;
  readonly value: unknown;

  constructor(by: ProxyHttp<unknown>, value: unknown) {
    this.by = by;
    this.value = value;
  }
}

function allOf(opened: readonly Pick<OpenProxy, 'mayConnect'>[]): OpenProxy['mayConnect'] {
  const filters = opened.flatMap(({ mayConnect }) => mayConnect ?? []);
  if (filters.length === 0) return undefined;
  return (client: SocketAddress, server: SocketAddress) =>
    filters.every((mayConnect) => mayConnect(client, server));
}

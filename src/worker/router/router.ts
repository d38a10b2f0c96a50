/**
 * Which route a request takes: the first whose conditions all hold, in the order
 * of the file. Pure, and the same path decides that goes upstream.
 */
export interface RouteMatch {
  /** `api.example.com`, or `*.example.com` for every name below it (not itself). */
  readonly host?: string | undefined;
  /** `/a` matches just that; `/a/*` matches `/a`, `/a/` and everything below. */
  readonly path?: string | undefined;
  readonly methods?: readonly string[] | undefined;
}

export interface Routable {
  readonly method: string;
  /** Host and port as the client asked. */
  readonly authority: string;
  /** Origin form, with a query or without. */
  readonly target: string;
}

type Condition = (request: Routable, path: string) => boolean;

interface Compiled<Route> {
  readonly conditions: readonly Condition[];
  readonly route: Route;
}

export class Router<Route> {
  readonly #routes: readonly Compiled<Route>[];

  constructor(
    routes: readonly { readonly match: RouteMatch | undefined; readonly route: Route }[],
  ) {
    this.#routes = routes.map(({ match, route }) => ({
      conditions: conditionsOf(match ?? {}),
      route,
    }));
  }

  find(request: Routable): Route | undefined {
    let path: string | undefined;
    for (const { conditions, route } of this.#routes) {
      if (conditions.length === 0) return route;
      path ??= pathOf(request.target);
      if (holdAll(conditions, request, path)) return route;
    }
    return undefined;
  }
}

function holdAll(conditions: readonly Condition[], request: Routable, path: string): boolean {
  for (const holds of conditions) if (!holds(request, path)) return false;
  return true;
}

function conditionsOf({ host, path, methods }: RouteMatch): Condition[] {
  const conditions: Condition[] = [];
  if (host !== undefined) conditions.push(hostCondition(host.toLowerCase()));
  if (path !== undefined) conditions.push(pathCondition(path));
  if (methods !== undefined) conditions.push(({ method }) => methods.includes(method));
  return conditions;
}

function hostCondition(host: string): Condition {
  if (!host.startsWith('*.')) return ({ authority }) => hostOf(authority) === host;
  const suffix = host.slice(1);
  return ({ authority }) => {
    const asked = hostOf(authority);
    return asked.length > suffix.length && asked.endsWith(suffix);
  };
}

function pathCondition(pattern: string): Condition {
  if (!pattern.endsWith('/*')) return (_request, path) => path === pattern;
  const folder = pattern.slice(0, -1);
  const itself = pattern.slice(0, -2);
  return (_request, path) => path.startsWith(folder) || path === itself;
}

/** Names are compared in lower case, without port and without the dot of the root. */
function hostOf(authority: string): string {
  const port = authority.lastIndexOf(':');
  const bracket = authority.lastIndexOf(']');
  const host = port > bracket ? authority.slice(0, port) : authority;
  const lower = host.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** Without the query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

/**
 * The gateway that a configuration file describes, as an ordinary `ProxyHttp`:
 * it uses nothing that a program of yours could not use.
 */
import type {
  RateLimitSettings,
  RouteSettings,
  ServiceSettings,
  Settings,
} from '../../shared/config/settings.ts';
import type { UpstreamSettings } from '../../shared/config/settings.ts';
import { showPlace } from '../../shared/ipc/place.ts';
import { consistent } from '../balance/consistent.ts';
import { ewma } from '../balance/ewma.ts';
import { fnvHash } from '../balance/fnv-hash.ts';
import { leastRequests } from '../balance/least-requests.ts';
import { LoadBalancer } from '../balance/load-balancer.ts';
import { maglev } from '../balance/maglev.ts';
import { p2c } from '../balance/p2c.ts';
import { random } from '../balance/random.ts';
import { roundRobin } from '../balance/round-robin.ts';
import type { Selection } from '../balance/selection.ts';
import { RateLimiter } from '../limits/rate-limiter.ts';
import { Answer } from '../proxy/answer.ts';
import { compose, type FilterPhases } from '../proxy/compose.ts';
import type { ProxyHttp, RequestOutcome } from '../proxy/proxy-http.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { Session } from '../proxy/session.ts';
import { normalizePath, pathAllowances, type PathAllowances } from '../http/path.ts';
import { Router } from '../router/router.ts';
import type { PeerOptions } from '../upstream/peer.ts';
import { apiKey } from './api-key.ts';
import { discoveredName, discoveryFrom } from './upstream-discovery.ts';
import { inOrder, type Filter } from './filter.ts';
import { requestHeaders, responseHeaders } from './header-edits.ts';
import { limitKey } from './limit-key.ts';
import { rateLimit, type Limit, type RateLimitFilter } from './rate-limit.ts';
import { requestKey, type KeyOf } from './request-key.ts';
import { StickyCookie } from './sticky-cookie.ts';
import { circuitBreakerFrom, healthCheckFrom, outlierDetectionFrom } from './upstream-health.ts';

/** What one request carries: the route it took. */
export interface GatewayContext {
  route: Route | undefined;
}

interface Route {
  readonly filters: Pick<
    FilterPhases,
    'requestFilter' | 'upstreamRequestFilter' | 'responseFilter'
  >;
  readonly paths: PathAllowances;
  /** Tells the client of a fixed answer how it stands with its limits. */
  readonly tell: RateLimitFilter['tell'] | undefined;
  readonly target: UpstreamTarget | RespondTarget;
}

/** A balancer, and what of a request it goes by. */
interface Upstream {
  readonly balancer: LoadBalancer;
  /** Absent if it chooses without a key. */
  readonly keyOf: KeyOf | undefined;
  /** Absent if any request of a client may go to any peer. */
  readonly sticky: StickyCookie | undefined;
}

interface UpstreamTarget extends Upstream {
  readonly kind: 'upstream';
}

interface RespondTarget {
  readonly kind: 'respond';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export type Balancers = ReadonlyMap<string, Upstream>;

const SELECTIONS = {
  round_robin: roundRobin,
  random,
  p2c,
  least_requests: leastRequests,
  ewma,
  consistent,
  fnv_hash: fnvHash,
  maglev,
} as const satisfies Record<UpstreamSettings['balance'], () => Selection>;

const CLIENT_IP = { kind: 'client_ip' } as const;

/** @param readPem what is in a file of certificates or a key */
export function balancersFrom(settings: Settings, readPem: (path: string) => string): Balancers {
  const balancers = new Map<string, Upstream>();
  for (const [name, upstream] of Object.entries(settings.upstreams)) {
    const { health_check: health, pool } = upstream;
    const peers = upstream.peers.map((peer) => ({
      address: showPlace(peer),
      weight: peer.weight,
      priority: peer.priority,
    }));
    const discovery = discoveryFrom(upstream);
    const selection = SELECTIONS[upstream.balance]();
    const balancer = new LoadBalancer(peers, {
      name,
      selection,
      panicThresholdPercent: upstream.panic_threshold,
      slowStartMs: upstream.slow_start,
      outlierDetection: outlierDetectionFrom(upstream.outlier_detection),
      ...(upstream.circuit_breaker !== undefined && {
        circuitBreaker: circuitBreakerFrom(upstream.circuit_breaker),
      }),
      ...(discovery !== undefined && { discovery }),
      ...(health !== undefined && {
        healthCheck: healthCheckFrom(health),
        healthCheckFrequencyMs: health.interval,
      }),
      peerOptions: {
        connectTimeoutMs: upstream.connect_timeout,
        totalConnectTimeoutMs: upstream.total_connect_timeout,
        readTimeoutMs: upstream.read_timeout,
        writeTimeoutMs: upstream.write_timeout,
        idleTimeoutMs: pool.idle_timeout,
        maxIdle: pool.max_idle,
        pipelining: pool.pipelining,
        bindToIpv4: upstream.bind_to_ipv4 ?? settings.client_bind_to_ipv4[0],
        bindToIpv6: upstream.bind_to_ipv6 ?? settings.client_bind_to_ipv6[0],
        tcpKeepAlive: keepAliveOf(upstream),
        proxyProtocol: upstream.proxy_protocol,
        proxy: proxyOf(upstream),
        ...tlsOptions(upstream, settings, readPem),
      },
    });
    const keyOf = selection.byKey ? requestKey(upstream.hash_key ?? CLIENT_IP) : undefined;
    balancers.set(name, { balancer, keyOf, sticky: stickyOf(upstream, balancer) });
  }
  return balancers;
}

function stickyOf({ sticky }: UpstreamSettings, balancer: LoadBalancer): StickyCookie | undefined {
  if (sticky === undefined) return undefined;
  const { secrets, cookie, max_age: maxAgeMs } = sticky;
  return new StickyCookie(balancer, {
    secrets,
    cookie,
    ...(maxAgeMs !== undefined && { maxAgeMs }),
  });
}

function keepAliveOf({ tcp_keepalive: asked }: UpstreamSettings): PeerOptions['tcpKeepAlive'] {
  const { enabled, idle: idleMs, interval: intervalMs, count } = asked;
  return enabled && { idleMs, intervalMs, count };
}

function proxyOf({ proxy }: UpstreamSettings): PeerOptions['proxy'] {
  if (proxy === undefined) return undefined;
  const { address, headers, username, password } = proxy;
  const isKnown = username !== undefined && password !== undefined;
  return { address, headers, credentials: isKnown ? { username, password } : undefined };
}

function tlsOptions(
  upstream: UpstreamSettings,
  { ca_file }: Settings,
  readPem: (path: string) => string,
): PeerOptions {
  const { tls } = upstream;
  if (tls === undefined) return {};
  const {
    sni = discoveredName(upstream),
    verify,
    alternative_name,
    system_certs,
    ca = ca_file,
    cert,
    key,
  } = tls;
  return {
    tls: true,
    sni,
    alternativeName: alternative_name,
    useSystemCerts: system_certs,
    verifyCert: verify !== 'off',
    verifyHostname: verify === 'full',
    ca: ca === undefined || verify === 'off' ? undefined : readPem(ca),
    cert: cert === undefined ? undefined : readPem(cert),
    key: key === undefined ? undefined : readPem(key),
  };
}

/** The proxy for one service of the file. */
export function gateway(service: ServiceSettings, balancers: Balancers): ProxyHttp<GatewayContext> {
  const router = new Router(
    service.routes.map((settings, index) => ({
      match: settings.match,
      route: routeFrom(service, settings, `${service.name}/${index}`, balancers),
    })),
  );

  return {
    newCtx: () => ({ route: undefined }),

    requestFilter(session) {
      const route = router.find(session.request);
      session.ctx.route = route;
      if (route === undefined) return session.respondError(404);
      // Again, since another route may allow more than this one.
      if (session.request.target.includes('%')) normalizePath(session.request.target, route.paths);
      const outcome = route.filters.requestFilter?.(session);
      if (outcome instanceof Promise)
        return outcome.then((answer) => answer ?? ownAnswer(route, session));
      return outcome ?? ownAnswer(route, session);
    },

    upstreamPeer(session) {
      const { target } = routeOf(session.ctx);
      if (target.kind !== 'upstream')
        throw new Error('a route that answers by itself asks no peer');
      const { balancer, keyOf, sticky } = target;
      const key = keyOf?.(session);
      const failed = peerThatFailed(session);
      if (failed === undefined) return sticky?.peerOf(session) ?? balancer.select(key);
      return balancer.selectWith((peer) => peer !== failed, key) ?? balancer.select(key);
    },

    upstreamRequestFilter: (session, request) =>
      routeOf(session.ctx).filters.upstreamRequestFilter?.(session, request),

    responseFilter(session, response) {
      const { filters, target } = routeOf(session.ctx);
      if (target.kind === 'upstream') target.sticky?.mark(session, response);
      return filters.responseFilter?.(session, response);
    },
  };
}

/** What the route answers by itself; nothing if it has an upstream. */
function ownAnswer({ target, tell }: Route, session: Session<GatewayContext>): RequestOutcome {
  if (target.kind !== 'respond') return undefined;
  const answer = new Answer(target);
  tell?.(session, answer.headers);
  return answer;
}

function routeOf({ route }: GatewayContext): Route {
  if (route === undefined) throw new Error('no route was chosen before this phase');
  return route;
}

function routeFrom(
  service: ServiceSettings,
  settings: RouteSettings,
  name: string,
  balancers: Balancers,
): Route {
  const filters: Filter[] = [];
  const { auth, rate_limit: one, rate_limits: several } = settings;
  const { request_headers: up, response_headers: down } = settings;
  const limits = several ?? (one === undefined ? [] : [one]);
  const limiting = limits.length === 0 ? undefined : rateLimit(limitsFrom(name, limits));
  if (limiting !== undefined) filters.push(limiting);
  if (auth?.api_key !== undefined) filters.push(apiKey(auth.api_key));
  if (up !== undefined) filters.push(requestHeaders(up));
  if (down !== undefined) filters.push(responseHeaders(down));
  return {
    filters: compose(inOrder(filters)),
    paths: pathAllowances([...service.paths, ...(settings.paths ?? [])]),
    target: targetFrom(settings, balancers),
    tell: limiting?.tell,
  };
}

/** @param route names its first limit, as long as that has no name of its own */
function limitsFrom(route: string, limits: readonly RateLimitSettings[]): Limit[] {
  return limits.map((settings, nth) => {
    const {
      name,
      rate,
      burst,
      max_keys: maxKeys,
      cost,
      dry_run: isDryRun,
      status,
      body,
    } = settings;
    const ownName = name ?? (nth === 0 ? undefined : String(nth));
    const limiterName = ownName === undefined ? route : `${route}/${ownName}`;
    return {
      limiter: new RateLimiter({ name: limiterName, rate, burst, maxKeys }),
      keyOf: limitKey(settings),
      cost,
      isDryRun,
      status,
      body,
      toldAs: settings.fields ? (name ?? String(nth)) : undefined,
    };
  });
}

function targetFrom({ upstream, respond }: RouteSettings, balancers: Balancers): Route['target'] {
  if (respond !== undefined) {
    const { status, headers = {}, body } = respond;
    return { kind: 'respond', status, headers, body };
  }
  const found = upstream === undefined ? undefined : balancers.get(upstream);
  // The configuration was checked before it got here.
  if (found === undefined) throw new Error(`no upstream named "${upstream}"`);
  return { kind: 'upstream', ...found };
}

/** One that has only closed a connection which nobody used is as good as before. */
function peerThatFailed({ peer, failedAttempts }: Session<GatewayContext>): HttpPeer | undefined {
  return failedAttempts?.at(-1)?.why === 'upstream/idle-connection-closed' ? undefined : peer;
}

/** Builds one worker from its parts. No other file knows them all, so start reading here. */
import type { Boot } from '../shared/ipc/boot.ts';
import {
  taskDuty,
  type BoundAddress,
  type DrainOrder,
  type Duty,
  type ListenerGrant,
} from '../shared/ipc/messages.ts';
import type { BootService } from '../shared/ipc/plan.ts';
import type { Log } from '../shared/log/log.ts';
import { PeerTable } from '../shared/memory/peer-table.ts';
import type { Segment } from '../shared/memory/segment.ts';
import { PEERS_SEGMENT } from '../shared/memory/segments.ts';
import type { MetricsSource } from '../shared/metrics/page.ts';
import type { Recorder } from '../shared/metrics/recorder.ts';
import type { IdentityFiles } from '../shared/tls/pem-files.ts';
import { Deadlines } from '../shared/time/deadlines.ts';
import type { Time } from '../shared/time/time.ts';
import { allBalancers } from './balance/load-balancer.ts';
import type { Accept } from './downstream/accept.ts';
import { Admission, ConnectionBudget } from './downstream/admission.ts';
import { defaultMaxConnections } from './downstream/open-files.ts';
import { Http1Connection } from './downstream/http1-connection.ts';
import type { DownstreamOptions, ListenerOptions } from './downstream/settings.ts';
import { streamConnector, type StreamHandler } from './downstream/streams.ts';
import { openDiscoveredPeers } from './discovered-peers.ts';
import { openFigures } from './figures.ts';
import { startProber } from './health/prober.ts';
import { pathAllowances } from './http/path.ts';
import { trustFrom } from './http/trust.ts';
import { bindLimiters } from './limits/rate-limiter.ts';
import { TlsServers, WorkerListeners, type Protocol } from './listeners.ts';
import { openAccessLog, type AccessLog } from './observe/access-log.ts';
import { reportEjections } from './health/ejections.ts';
import { recordProcessFigures } from './observe/process-figures.ts';
import { RequestHeadParser } from './protocol/http1/request-head.ts';
import { BackgroundSubrequests } from './proxy/background-subrequests.ts';
import { openProxy, type OpenProxy } from './proxy/open-proxy.ts';
import type { ProxyHttp } from './proxy/proxy-http.ts';
import { ProxyService } from './proxy/proxy-service.ts';
import type { SubrequestHost } from './proxy/subrequests.ts';
import { RetryPolicy, type RetryOptions } from './proxy/retry-policy.ts';
import { BackgroundTask, type WorkerTask } from './tasks/background-task.ts';
import { Readiness } from './tasks/readiness.ts';
import type { Dependency } from './tasks/task.ts';
import { TlsServer, type Identity } from './tls/server.ts';
import { Connector } from './upstream/connector.ts';
import { dial, type Dial } from './upstream/dial.ts';

/** A service as its program built it: the phases, and the settings of its connections. */
export interface WorkerService {
  readonly name: string;
  readonly proxy: ProxyHttp<unknown>;
  readonly settings: Omit<BootService, 'name'>;
  /** Instead of what the settings say. */
  readonly own: ServiceTiming;
  /** For one that serves the figures of all workers. */
  readonly showMetrics?: ((source: MetricsSource) => void) | undefined;
  /** Accepts connections only once these are ready. */
  readonly after?: readonly Dependency[];
}

/** A service whose clients speak a protocol of the program's own. */
export interface StreamService {
  readonly name: string;
  readonly handler: StreamHandler;
  readonly settings: Omit<BootService, 'name'>;
  /** Instead of what the settings say. */
  readonly own: StreamLimits;
  readonly after?: readonly Dependency[];
}

/** What a program may say about the connections of such a service. */
export interface StreamLimits {
  /** Per worker; further ones are closed. Default: what the limit on open files allows. */
  readonly maxConnections?: number | undefined;
  /** Per client address and worker. Default 1,024. */
  readonly maxConnectionsPerClient?: number | undefined;
  /** Without a byte in either direction; then the connection is closed. Default 3,600,000 ms. */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * Our side stays open when the client has ended its own, and must be ended by the handler. Default
   * false, as in Node: the client's end, once read, ends ours.
   */
  readonly allowHalfOpen?: boolean | undefined;
}

/** What a program may say about the waits and retries of a service. */
export interface ServiceTiming {
  /** For a phase that returns a promise. Default 30,000 ms. */
  readonly phaseTimeoutMs?: number | undefined;
  /** For a response to begin, over all attempts. Default: no bound beyond those of the single waits. */
  readonly requestTimeoutMs?: number | undefined;
  /** Retries after responses with some statuses, or because a phase asks for them. */
  readonly retry?: RetryOptions | undefined;
}

export interface WorkerParts {
  readonly boot: Boot;
  readonly services: readonly WorkerService[];
  readonly segments: ReadonlyMap<string, Segment>;
  /** From 0. */
  readonly slot: number;
  readonly metricsRow: number;
  readonly version: string;
  readonly time: Time;
  readonly log: Log;
  /** Instead of the one that the settings name. */
  readonly accessLog?: AccessLog;
  /** Instead of the network. */
  readonly network?: Network;
  readonly streams?: readonly StreamService[];
  /** Of background services; each runs once there is the duty for it. */
  readonly tasks?: readonly WorkerTask[];
  /** Background services that are ready already. */
  readonly readyServices?: readonly string[];
  readonly reports?: Reports;
}

/** What a worker has to tell while it runs. */
export interface Reports {
  /** The background service that it runs is ready. */
  serviceReady(service: string): void;
  /** `done`: nobody needs to do it again; `stopped`: another worker may. */
  dutyEnded(duty: Duty, how: 'done' | 'stopped'): void;
}

/** How connections come and go: where there is a test at both ends, in memory. */
export interface Network {
  readonly accept: Accept;
  readonly dial: Dial;
}

export interface Worker {
  /**
   * Accepts on the sockets of a slot, for each service as soon as what it depends on is ready.
   *
   * @returns where that really is; nowhere if it is drained before
   * @throws {Error} one of them cannot be listened on
   */
  accept(slot: number, listeners: readonly ListenerGrant[]): Promise<readonly BoundAddress[]>;
  /** Accepts no more on the sockets of a slot; connections stay. */
  leave(slot: number): void;
  take(duty: Duty): void;
  /** A background service is ready, here or in another worker. */
  serviceReady(service: string): void;
  reopenLogs(): void;
  /** Stops accepting and lets requests finish; resolves when all is let go. */
  drain(order: DrainOrder): Promise<void>;
  /** Of a drain: idle connections end sooner. */
  hurry(idleMs: number): void;
  /** Of a drain: its time is over. */
  cut(): void;
}

/**
 * Builds everything. The worker can have duties from now on; it does not accept
 * connections yet.
 *
 * @throws {Error} something cannot be built from the configuration
 */
export function buildWorker(parts: WorkerParts): Worker {
  const { boot, segments, time, log, network, slot } = parts;
  const deadlines = new Deadlines(time);
  const figures = openFigures({ ...parts, need: (name) => need(segments, name) });
  const { recorder } = figures;
  recorder.workerState(slot, 'starting');
  const stopFigures = recordProcessFigures(recorder);
  const peers = new PeerTable(need(segments, PEERS_SEGMENT));
  peers.load.join();
  for (const balancer of allBalancers())
    balancer.useTable(peers, time.clock, {
      time,
      onEjected: reportEjections({
        upstream: balancer.name,
        table: peers,
        recorder: recorder.upstream(balancer.name),
        time,
        log,
      }),
    });
  const discovered = openDiscoveredPeers((name) => need(segments, name), time, log);
  for (const { showMetrics } of parts.services) showMetrics?.(figures.source(parts.version));
  bindLimiters((name) => segments.get(name), time.clock);
  const accessLog =
    parts.accessLog ??
    openAccessLog(boot.settings.access_log, {
      onReopenFailed: (error) => log.error({ err: error }, 'access log not reopened'),
      onDropped: (lines) =>
        log.warn({ lines }, 'access log lines dropped: the destination takes none'),
    });
  const connector = new Connector({
    deadlines,
    recorder,
    poolSize: boot.settings.upstream_keepalive_pool_size,
    dial: network?.dial,
  });
  const maxAttempts = boot.settings.max_retries;
  const shared = { connector, deadlines, time, recorder, accessLog, log, maxAttempts };
  const background = new BackgroundSubrequests(time, log);
  const readiness = new Readiness(time, parts.readyServices);
  const tasks = tasksFrom(parts, readiness);
  const stopping = new AbortController();
  const proxyServiceOf = (service: WorkerService) => {
    const { trusted_proxies, forwarded, via, paths, retry, timeouts } = service.settings;
    const { phaseTimeoutMs, requestTimeoutMs } = service.own;
    const ofService = {
      ...shared,
      name: service.name,
      // One for all proxies of a dispatch: its budget is a share of the service's requests.
      retry: new RetryPolicy({
        statuses: retry.statuses,
        closed: retry.closed,
        budgetPercent: retry.budget_percent,
        minConcurrent: retry.min_concurrent,
        backOffMs: retry.back_off,
        maxBackOffMs: retry.max_back_off,
        ...service.own.retry,
      }),
      phaseTimeoutMs: phaseTimeoutMs ?? timeouts.phase,
      requestTimeoutMs: requestTimeoutMs ?? timeouts.request,
      forwarding: {
        trusts: trustFrom(trusted_proxies),
        forwarded,
        via: via === 'off' ? undefined : via,
      },
      clientIpField: service.settings.client_ip_field,
      paths: pathAllowances(paths),
    };
    const subrequests: SubrequestHost = {
      serve: (exchange) => opened.handle(exchange),
      background,
      time,
    };
    const opened = openProxy(
      service.proxy,
      (proxy) => new ProxyService({ ...ofService, proxy, subrequests }),
    );
    return opened;
  };
  const { streams = [] } = parts;
  const ofListeners = {
    deadlines,
    budget: new ConnectionBudget(maxConnectionsOf(parts.services, streams)),
    log,
  };
  const protocols = [
    ...parts.services.map((service) => overHttp(service, proxyServiceOf(service), ofListeners)),
    ...streams.map((service) => overStreams(service, ofListeners, recorder, stopping.signal)),
  ];
  const listeners = new WorkerListeners({
    protocols,
    figuresOf: (service) => recorder.service(service),
    tlsServers: tlsServers(boot, protocols),
    readiness,
    stopping: stopping.signal,
    accept: network?.accept,
    log,
  });
  let stopProber: (() => void) | undefined;

  return {
    async accept(of, grants) {
      await discovered.ready();
      if (stopping.signal.aborted) return [];
      const addresses = await listeners.accept(of, grants);
      if (!stopping.signal.aborted) recorder.workerState(slot, 'ready');
      return addresses;
    },

    leave: (of) => listeners.leave(of),

    take(duty) {
      if (duty === 'health-probes') {
        stopProber ??= startProber({
          balancers: allBalancers(),
          table: peers,
          time,
          deadlines,
          dial: network?.dial ?? dial,
          log,
        });
        return;
      }
      if (discovered.take(duty)) return;
      const task = tasks.get(duty);
      // The supervisor knows the services of the same program.
      if (task === undefined) throw new Error(`there is no duty "${duty}" in this program`);
      void task.run().then((how) => parts.reports?.dutyEnded(duty, how));
    },

    serviceReady: (service) => readiness.mark(service),

    reopenLogs() {
      accessLog.reopen();
      log.reopen();
    },

    /** In reverse: first no new work, then what that work was using. */
    async drain(order) {
      recorder.workerState(slot, 'draining');
      stopping.abort(new Error('the worker is draining'));
      if (stopProber !== undefined) {
        stopProber();
        parts.reports?.dutyEnded('health-probes', 'stopped');
      }
      for (const duty of discovered.stopRunning()) parts.reports?.dutyEnded(duty, 'stopped');
      const tasksStopped = stopTasks(tasks, order.graceMs, parts);
      const cutBackground = setTimeout(() => background.cut(), order.graceMs);
      await listeners.drain(order);
      await background.drain();
      clearTimeout(cutBackground);
      await tasksStopped;
      discovered.stop();
      connector.close();
      stopFigures();
      await accessLog.close();
    },

    hurry: (idleMs) => listeners.hurry(idleMs),

    cut() {
      listeners.cut();
      background.cut();
    },
  };
}

function tasksFrom(
  { tasks = [], boot, time, log, reports }: WorkerParts,
  readiness: Readiness,
): ReadonlyMap<Duty, BackgroundTask> {
  return new Map(
    tasks.map((task) => {
      const { name } = task;
      const background = new BackgroundTask({
        ...task,
        configuration: boot.user,
        readiness,
        time,
        log,
        onReady() {
          readiness.mark(name);
          reports?.serviceReady(name);
        },
      });
      return [taskDuty(name), background];
    }),
  );
}

/** Resolves when they have ended, or their time is over. */
async function stopTasks(
  tasks: ReadonlyMap<Duty, BackgroundTask>,
  graceMs: number,
  { time, log }: WorkerParts,
): Promise<void> {
  const stopped = [...tasks.values()].map((task) => task.stop());
  const { promise: tooLate, resolve } = Promise.withResolvers<void>();
  const cancel = time.after(graceMs, () => {
    log.warn({ graceMs }, 'a task did not end within the grace period');
    resolve();
  });
  await Promise.race([Promise.all(stopped), tooLate]);
  cancel();
}

function need(segments: ReadonlyMap<string, Segment>, name: string): Segment {
  const segment = segments.get(name);
  if (segment === undefined) throw new Error(`the supervisor gave no segment "${name}"`);
  return segment;
}

/** One for each certificate of a service, so that one that cannot be served is found before anybody connects. */
function tlsServers(boot: Boot, protocols: readonly Protocol[]): TlsServers {
  const servers = new TlsServers();
  for (const { service, tls } of boot.listen) {
    const alpn = protocols.find(({ name }) => name === service)?.alpn ?? [];
    if (tls !== undefined) servers.add(service, tls, new TlsServer(identityFrom(tls, boot), alpn));
  }
  return servers;
}

function identityFrom({ cert, key }: IdentityFiles, { pem }: Boot): Identity {
  const content = (path: string) => {
    const text = pem[path];
    if (text === undefined) throw new Error(`the supervisor did not read ${path}`);
    return text;
  };
  return { cert: content(cert), key: content(key) };
}

/** What the limit on open files allows, or what the services were told to take, if that is more. */
function maxConnectionsOf(
  services: readonly WorkerService[],
  streams: readonly StreamService[],
): number {
  const told = [
    ...services.map(({ settings }) => settings.limits.max_connections),
    ...streams.map(({ own }) => own.maxConnections),
  ];
  return Math.max(
    defaultMaxConnections(),
    told.reduce((sum: number, each = 0) => sum + each, 0),
  );
}

interface Shared {
  readonly deadlines: Deadlines;
  readonly budget: ConnectionBudget;
  readonly log: Log;
}

function overHttp(service: WorkerService, proxy: OpenProxy, shared: Shared): Protocol {
  const { name, after } = service;
  const options = downstreamOptions(service, proxy, shared);
  return {
    name,
    after,
    alpn: ['http/1.1'],
    options,
    connector(server) {
      const perConnection = { ...options, server };
      return (transport, onClosed) => new Http1Connection(transport, perConnection, onClosed);
    },
  };
}

function overStreams(
  service: StreamService,
  { deadlines, budget, log }: Shared,
  recorder: Recorder,
  stopping: AbortSignal,
): Protocol {
  const { name, after, handler, own, settings } = service;
  const { limits, timeouts, trusted_proxies } = settings;
  const max = own.maxConnections ?? limits.max_connections ?? defaultMaxConnections();
  const perClient = own.maxConnectionsPerClient ?? limits.max_connections_per_client;
  return {
    name,
    after,
    alpn: [],
    options: {
      deadlines,
      timeouts: { tlsHandshakeMs: timeouts.tls_handshake },
      admission: new Admission(
        { maxConnections: max, maxConnectionsPerClient: perClient },
        budget,
        trustFrom(trusted_proxies),
      ),
      mayConnect: undefined,
      onHandshakeFailed: handshakeFailed(name, log),
    },
    connector: streamConnector({
      handler,
      deadlines,
      idleMs: own.idleTimeoutMs ?? timeouts.tunnel_idle,
      allowHalfOpen: own.allowHalfOpen ?? false,
      figures: recorder.service(name),
      signal: stopping,
      log: log.child({ service: name }),
    }),
  };
}

/** At debug, since anyone can make as many of these as they like. */
function handshakeFailed(service: string, log: Log): ListenerOptions['onHandshakeFailed'] {
  return (reason, client) =>
    log.debug({ service, client: client.address, reason }, 'TLS handshake failed');
}

function downstreamOptions(
  { name, settings: { limits, timeouts, trusted_proxies } }: WorkerService,
  proxy: OpenProxy,
  { deadlines, budget, log }: Shared,
): DownstreamOptions {
  return {
    deadlines,
    headParser: new RequestHeadParser({
      maxTargetBytes: limits.max_target,
      maxHeadBytes: limits.max_head,
      maxHeaderCount: limits.max_headers,
    }),
    timeouts: {
      tlsHandshakeMs: timeouts.tls_handshake,
      requestHeadMs: timeouts.request_head,
      requestBodyMs: timeouts.request_body,
      responseWriteMs: timeouts.response_write,
      tunnelIdleMs: timeouts.tunnel_idle,
      keepAliveMs: timeouts.keep_alive,
    },
    limits: {
      maxBodyBytes: limits.max_body,
      minRate: limits.min_rate,
      maxRequests: limits.max_requests,
    },
    admission: new Admission(
      {
        maxConnections: limits.max_connections ?? defaultMaxConnections(),
        maxConnectionsPerClient: limits.max_connections_per_client,
      },
      budget,
      trustFrom(trusted_proxies),
    ),
    handle: (exchange) => proxy.handle(exchange),
    mayConnect: proxy.mayConnect,
    onHandshakeFailed: handshakeFailed(name, log),
  };
}

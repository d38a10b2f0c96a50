/** Builds one worker from its parts. No other file knows them all, so start reading here. */
import type { Boot } from '../shared/ipc/boot.ts';
import {
  taskDuty,
  type BoundAddress,
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
import type { Accept, ListenTarget } from './downstream/accept.ts';
import { Admission, ConnectionBudget } from './downstream/admission.ts';
import { defaultMaxConnections } from './downstream/open-files.ts';
import { Http1Connection } from './downstream/http1-connection.ts';
import { Listener, type ListenerParts } from './downstream/listener.ts';
import type { DownstreamOptions, ListenerOptions } from './downstream/settings.ts';
import { streamConnector, type StreamHandler } from './downstream/streams.ts';
import { openFigures } from './figures.ts';
import { startProber } from './health/prober.ts';
import { pathAllowances } from './http/path.ts';
import { trustFrom } from './http/trust.ts';
import { bindLimiters } from './limits/rate-limiter.ts';
import { openAccessLog, type AccessLog } from './observe/access-log.ts';
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
  readonly listeners: readonly ListenerGrant[];
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
  /** It can have duties, and be drained. It does not accept connections yet. */
  built(worker: Worker): void;
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
  /** Where it accepts connections. */
  readonly addresses: readonly BoundAddress[];
  take(duty: Duty): void;
  /** A background service is ready, here or in another worker. */
  serviceReady(service: string): void;
  reopenLogs(): void;
  /** Stops accepting, lets requests finish, cuts after `graceMs`; resolves when all is let go. */
  drain(idleMs: number, graceMs: number): Promise<void>;
}

/** Resolves once it accepts connections on all listeners, or is drained before. */
export async function startWorker(parts: WorkerParts): Promise<Worker> {
  const { boot, segments, time, log, network, slot } = parts;
  const deadlines = new Deadlines(time);
  const figures = openFigures({ ...parts, need: (name) => need(segments, name) });
  const { recorder } = figures;
  recorder.workerState(slot, 'starting');
  const stopFigures = recordProcessFigures(recorder);
  const peers = new PeerTable(need(segments, PEERS_SEGMENT));
  for (const balancer of allBalancers()) balancer.useTable(peers, time.clock);
  for (const { showMetrics } of parts.services) showMetrics?.(figures.source(peers, parts.version));
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
  const listeners = new Map<ListenerGrant, Listener>();
  const openService = (service: WorkerService) => {
    const { trusted_proxies, forwarded, via, paths, retry, timeouts } = service.settings;
    const { phaseTimeoutMs, requestTimeoutMs } = service.own;
    const ofService = {
      ...shared,
      name: service.name,
      // One for all proxies of a dispatch: its budget is a share of the service's requests.
      retry: new RetryPolicy({
        statuses: retry.statuses,
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
  let stopProber: (() => void) | undefined;
  let opening: Promise<void> | undefined;

  const worker: Worker = {
    get addresses() {
      return parts.listeners.flatMap((grant) => {
        const listener = listeners.get(grant);
        return listener === undefined ? [] : [boundAddress(grant, listener)];
      });
    },

    take(duty) {
      if (duty === 'health-probes') {
        stopProber ??= startProber({
          balancers: allBalancers(),
          table: peers,
          time,
          dial: network?.dial ?? dial,
          log,
        });
        return;
      }
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
    async drain(idleMs, graceMs) {
      recorder.workerState(slot, 'draining');
      stopping.abort(new Error('the worker is draining'));
      const tasksStopped = stopTasks(tasks, graceMs, parts);
      await opening;
      await acceptWhatWaits();
      const opened = [...listeners.values()];
      for (const listener of opened) listener.stopAccepting();
      const cut = setTimeout(() => {
        for (const listener of opened) listener.cut();
        background.cut();
      }, graceMs);
      await Promise.all(opened.map((listener) => listener.drain(idleMs)));
      await background.drain();
      clearTimeout(cut);
      await tasksStopped;
      stopProber?.();
      connector.close();
      stopFigures();
      await accessLog.close();
    },
  };

  parts.reports?.built(worker);
  const state = { deadlines, recorder, readiness, listeners };
  opening = openListeners(parts, state, openService, stopping.signal);
  await opening;
  if (!stopping.signal.aborted) recorder.workerState(slot, 'ready');
  return worker;
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

/**
 * One whole turn of the event loop: it accepts every connection that the kernel
 * has completed, and closing the socket would reset.
 */
async function acceptWhatWaits(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

function need(segments: ReadonlyMap<string, Segment>, name: string): Segment {
  const segment = segments.get(name);
  if (segment === undefined) throw new Error(`the supervisor gave no segment "${name}"`);
  return segment;
}

interface Opening {
  readonly deadlines: Deadlines;
  readonly recorder: Recorder;
  readonly readiness: Readiness;
  /** Those that are open. */
  readonly listeners: Map<ListenerGrant, Listener>;
}

/** Each service as soon as what it depends on is ready. */
async function openListeners(
  { boot, services, streams = [], listeners: grants, log, network }: WorkerParts,
  { deadlines, recorder, readiness, listeners }: Opening,
  open: (service: WorkerService) => OpenProxy,
  stopping: AbortSignal,
): Promise<void> {
  const shared = {
    deadlines,
    budget: new ConnectionBudget(maxConnectionsOf(services, streams)),
    log,
  };
  const protocols = [
    ...services.map((service) => overHttp(service, open(service), shared)),
    ...streams.map((service) => overStreams(service, shared, recorder, stopping)),
  ];
  const openProtocol = async ({ name, after = [], alpn, options, connector }: Protocol) => {
    await readiness.wait(name, after, stopping);
    for (const grant of grants) {
      if (grant.service !== name) continue;
      const listener = await Listener.open({
        target: targetOf(grant),
        tls: grant.tls && new TlsServer(identityFrom(grant.tls, boot), alpn),
        options,
        connector,
        figures: recorder.service(name),
        onError: (error) => log.error({ err: error, service: name }, 'cannot accept'),
        accept: network?.accept,
      });
      listeners.set(grant, listener);
    }
    readiness.mark(name);
  };
  try {
    await Promise.all(protocols.map(openProtocol));
  } catch (thrown) {
    // Told to drain while a service was waited for: it will not be needed any more.
    if (!stopping.aborted) throw thrown;
  }
}

function targetOf({ fd, place }: ListenerGrant): ListenTarget {
  if (fd !== undefined) return { fd };
  if ('path' in place) throw new Error(`the supervisor gave no socket for ${place.path}`);
  return place;
}

function identityFrom({ cert, key }: IdentityFiles, { pem }: Boot): Identity {
  const content = (path: string) => {
    const text = pem[path];
    if (text === undefined) throw new Error(`the supervisor did not read ${path}`);
    return text;
  };
  return { cert: content(cert), key: content(key) };
}

function boundAddress({ service, place, tls }: ListenerGrant, listener: Listener): BoundAddress {
  const where = listener.address ?? { path: 'path' in place ? place.path : '' };
  return { service, ...where, ...(tls && { tls: true }) };
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

/** What the clients of a service speak, as its listeners need it. */
interface Protocol {
  readonly name: string;
  readonly after?: readonly Dependency[] | undefined;
  readonly alpn: readonly string[];
  readonly options: ListenerOptions;
  readonly connector: ListenerParts['connector'];
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

/** Services: what a program gives a server to run. */
import { refuseNoTime, refuseUnknown } from '../shared/config/options.ts';
import type { BootService, ListenAddress } from '../shared/ipc/plan.ts';
import { DEFAULT_UNIX_MODE, type Place } from '../shared/ipc/place.ts';
import type { MetricsSource } from '../shared/metrics/page.ts';
import type { IdentityFiles } from '../shared/tls/pem-files.ts';

import type { ProxyHttp } from '../worker/proxy/proxy-http.ts';
import type { ServiceTiming } from '../worker/start.ts';

/** Limits and timeouts of a service's client connections, in milliseconds and bytes. */
export type ConnectionSettings = Omit<BootService, 'name'>;

export interface ServiceOptions extends ServiceTiming {
  /** In logs and metrics. Default: `proxy`. */
  readonly name?: string;
}

export interface UnixOptions {
  /** Permissions of the socket's file: who may write may connect. Default 0o660. */
  readonly mode?: number;
}

/** Something that a program gives a server to run, under a name. */
export abstract class Service {
  readonly name: string;
  readonly #dependencies = new Set<Service>();

  constructor(name: string) {
    this.name = name;
  }

  /** What it depends on. */
  get dependencies(): ReadonlySet<Service> {
    return this.#dependencies;
  }

  /**
   * Begins only when those are ready: a listening one once it accepts connections, a background
   * one once its task has said so. If that takes too long, the start fails and says what was waited for.
   */
  dependsOn(...services: readonly Service[]): this {
    for (const service of services) this.#dependencies.add(service);
    return this;
  }
}

/** A service that clients connect to, on some addresses. */
export abstract class ListeningService extends Service {
  readonly settings: ConnectionSettings | undefined;
  readonly #listen: ListenAddress[] = [];

  constructor(name: string, settings: ConnectionSettings | undefined) {
    super(name);
    this.settings = settings;
  }

  get listen(): readonly ListenAddress[] {
    return this.#listen;
  }

  /**
   * Accepts connections on a TCP address.
   *
   * @param address `127.0.0.1:6188`, `[::1]:6188`; port 0 lets the system choose
   * @throws {TypeError} the address is neither
   */
  addTcp(address: string): this {
    return this.addListener(tcpPlace('addTcp', address));
  }

  /**
   * Accepts connections with TLS 1.3 and 1.2.
   *
   * @param address as for `addTcp`
   * @param files PEM files; they are read and checked before anything starts
   * @throws {TypeError} the address is none, or an option unknown
   */
  addTls(address: string, files: IdentityFiles): this {
    refuseUnknown('addTls', files, { cert: true, key: true });
    const { cert, key } = files;
    return this.addListener(tcpPlace('addTls', address), { cert, key });
  }

  /**
   * Accepts connections on a Unix socket, whose file appears with the start and goes with the end.
   *
   * @param path of the file
   * @throws {TypeError} the path is empty, the mode no set of permissions, or an option unknown
   */
  addUnix(path: string, options: UnixOptions = {}): this {
    refuseUnknown('addUnix', options, { mode: true });
    const { mode = DEFAULT_UNIX_MODE } = options;
    if (path === '') throw new TypeError('addUnix: expected the path of a socket, got ""');
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o777)
      throw new TypeError(`addUnix: expected a mode such as 0o660, got ${mode}`);
    return this.addListener({ path, mode });
  }

  /** As the three above, with the parts already apart. */
  addListener(place: Place, tls?: IdentityFiles): this {
    this.#listen.push({ service: this.name, place, tls });
    return this;
  }
}

export interface HttpProxyParts {
  /** From a file; without them the service has the defaults. */
  readonly settings?: ConnectionSettings;
  /** From the program; instead of what the settings say. */
  readonly timing?: ServiceTiming;
  /** In a worker, before it accepts: for a service that shows the figures of all workers. */
  readonly showMetrics?: (source: MetricsSource) => void;
}

/** A proxy of the program. */
export class HttpProxyService extends ListeningService {
  readonly proxy: ProxyHttp<unknown>;
  readonly timing: ServiceTiming;
  readonly showMetrics: HttpProxyParts['showMetrics'] | undefined;

  constructor(name: string, proxy: ProxyHttp<unknown>, parts: HttpProxyParts = {}) {
    super(name, parts.settings);
    this.proxy = proxy;
    this.timing = parts.timing ?? {};
    this.showMetrics = parts.showMetrics;
  }
}

const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

function tcpPlace(caller: string, address: string): Place {
  const match = ADDRESS.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new TypeError(
    `${caller}: expected "host:port" or "[ipv6]:port", got ${JSON.stringify(address)}`,
  );
}

/**
 * Makes a service of your phases; give it addresses and add it to a server.
 *
 * @throws {TypeError} an option is unknown or makes no sense, or `upstreamPeer` is missing
 */
export function httpProxyService<Ctx>(
  proxy: ProxyHttp<Ctx>,
  options: ServiceOptions = {},
): HttpProxyService {
  checkOptions('httpProxyService', options);
  if (typeof proxy.upstreamPeer !== 'function')
    throw new TypeError('httpProxyService: expected a proxy with the phase upstreamPeer');
  // Inside, nothing looks into a context: only the phases that made it do.
  return new HttpProxyService(options.name ?? 'proxy', proxy, { timing: options });
}

const OPTIONS = { name: true, phaseTimeoutMs: true, requestTimeoutMs: true, retry: true } as const;

const RETRY_OPTIONS = {
  statuses: true,
  closed: true,
  budgetPercent: true,
  minConcurrent: true,
  backOffMs: true,
  maxBackOffMs: true,
} as const;

/** @throws {TypeError} one is unknown or makes no sense */
export function checkOptions(caller: string, options: ServiceOptions): void {
  const { phaseTimeoutMs, requestTimeoutMs, retry = {} } = options;
  refuseUnknown(caller, options, OPTIONS);
  refuseUnknown(`${caller}: retry`, retry, RETRY_OPTIONS);
  refuseNoTime(caller, { phaseTimeoutMs, requestTimeoutMs });
}

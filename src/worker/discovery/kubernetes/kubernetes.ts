/**
 * The pods behind a service of Kubernetes: the list of its EndpointSlices, then a
 * watch that tells what changes, from the version of the list on.
 *
 *   list    → watch
 *   watch   → watch   it has ended, as each does after a while; it goes on from the last version
 *   watch   → list    410: the server does not know that version any more
 *   either  → the same again after a pause, if it fails
 *
 * No slice, or none with a pod that serves, is an answer: a service may be scaled
 * to nothing, and the addresses of its pods be given to others.
 */
import { readFile } from 'node:fs/promises';
import { refuseUnknown } from '../../../shared/config/options.ts';
import { retryPauseMs } from '../../../shared/time/retry-pause.ts';
import type { Discovery, DiscoveryWatcher, FoundPeer } from '../discovery.ts';
import { ApiError, ApiServer } from './api-server.ts';
import { peersFrom, type EndpointSlice } from './endpoint-slices.ts';

export interface KubernetesOptions {
  readonly service: string;
  /** Default: the pod's own. */
  readonly namespace?: string | undefined;
  /** Number or name of a port of the pods. Default: the only one. */
  readonly port?: number | string | undefined;
  /** `https://host:port`. Default: as Kubernetes tells its pods. */
  readonly apiServer?: string | undefined;
  /** Default: the pod's, as are the next one and the namespace. */
  readonly tokenFile?: string | undefined;
  /** PEM: authorities that vouch for the API server. */
  readonly caFile?: string | undefined;
}

const OPTIONS = {
  service: true,
  namespace: true,
  port: true,
  apiServer: true,
  tokenFile: true,
  caFile: true,
} as const;

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** RFC 1123, as Kubernetes wants it. */
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** @throws {TypeError} an option is not known or makes no sense */
export function kubernetesPeers(options: KubernetesOptions): Discovery {
  refuseUnknown('kubernetesPeers', options, OPTIONS);
  const { service, namespace, port, apiServer } = options;
  for (const [key, value] of Object.entries({ service, namespace })) {
    if (value === undefined ? key === 'service' : !NAME.test(value))
      throw new TypeError(`kubernetesPeers: ${key}: expected a name, got ${JSON.stringify(value)}`);
  }
  if (apiServer !== undefined && URL.parse(apiServer)?.protocol !== 'https:') {
    throw new TypeError(
      `kubernetesPeers: apiServer: expected "https://host:port", got ${JSON.stringify(apiServer)}`,
    );
  }
  return {
    source: `kubernetes ${JSON.stringify([apiServer ?? null, namespace ?? null, service, port ?? null])}`,
    watch: (watcher) => new ServiceWatch(options, watcher).run(),
  };
}

/** The server is asked to end a watch after this time, up to half as much again. */
const WATCH_SECONDS = 240;
const MAX_SLICES = 1_000;
const PAGE = 500;

class ServiceWatch {
  readonly #options: KubernetesOptions;
  readonly #watcher: DiscoveryWatcher;
  readonly #slices = new Map<string, EndpointSlice>();
  /** Of what is in `#slices`; `undefined`: a list is needed. */
  #version: string | undefined;
  #failures = 0;

  constructor(options: KubernetesOptions, watcher: DiscoveryWatcher) {
    this.#options = options;
    this.#watcher = watcher;
  }

  async run(): Promise<void> {
    const { signal } = this.#watcher;
    while (!signal.aborted) {
      try {
        const server = new ApiServer(serverFrom(this.#options));
        const path = await this.#path();
        if (this.#version === undefined) await this.#list(server, path);
        const isFruitful = await this.#watch(server, path);
        // One that ends at once, or whose version is never known, must not become a storm.
        if (!isFruitful) await this.#watcher.pause(retryPauseMs(1));
      } catch (thrown) {
        if (signal.aborted) return;
        this.#failures += 1;
        this.#watcher.failed(thrown as Error);
        await this.#watcher.pause(retryPauseMs(this.#failures));
      }
    }
  }

  async #path(): Promise<string> {
    const { service, namespace } = this.#options;
    const space = namespace ?? (await readFile(`${ACCOUNT}/namespace`, 'utf8')).trim();
    const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
    return `/apis/discovery.k8s.io/v1/namespaces/${space}/endpointslices?labelSelector=${selector}`;
  }

  async #list(server: ApiServer, path: string): Promise<void> {
    const slices = new Map<string, EndpointSlice>();
    let version: string | undefined;
    let next: string | undefined;
    do {
      const query = `${path}&limit=${PAGE}${next === undefined ? '' : `&continue=${encodeURIComponent(next)}`}`;
      const page = (await server.get(query, this.#watcher.signal)) as Page;
      for (const slice of page.items ?? []) slices.set(nameOf(slice), slice);
      version = page.metadata?.resourceVersion;
      next = page.metadata?.continue || undefined;
      refuseTooMany(slices);
    } while (next !== undefined);
    if (version === undefined) throw new Error('the list of EndpointSlices has no resourceVersion');
    this.#slices.clear();
    for (const [name, slice] of slices) this.#slices.set(name, slice);
    this.#version = version;
    this.#tell();
  }

  /** @returns whether it has told anything */
  async #watch(server: ApiServer, path: string): Promise<boolean> {
    const seconds = Math.round(WATCH_SECONDS * (1 + Math.random() / 2));
    const query = `${path}&watch=1&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(this.#version!)}&timeoutSeconds=${seconds}`;
    let isFruitful = false;
    try {
      const events = server.watch(query, this.#watcher.signal, {
        onOpen: () => this.#tell(),
        silenceMs: (seconds + 30) * 1_000,
      });
      for await (const event of events) {
        this.#take(event as WatchEvent);
        isFruitful = true;
      }
    } catch (thrown) {
      if (!(thrown instanceof ApiError && thrown.status === GONE)) throw thrown;
      this.#version = undefined;
    }
    return isFruitful;
  }

  #take({ type, object = {} }: WatchEvent): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#slices.set(nameOf(object), object);
        break;
      case 'DELETED':
        this.#slices.delete(nameOf(object));
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR':
        throw new ApiError(`the watch ended: ${object.message ?? 'no reason'}`, object.code ?? 0);
      default:
        throw new Error(`a watch told of ${JSON.stringify(type)}, which is no event`);
    }
    refuseTooMany(this.#slices);
    this.#version = object.metadata?.resourceVersion ?? this.#version;
    this.#tell();
  }

  #tell(): void {
    if (this.#watcher.signal.aborted) return;
    this.#failures = 0;
    let peers: readonly FoundPeer[];
    try {
      peers = peersFrom(this.#slices.values(), this.#options.port);
    } catch (thrown) {
      // Not the end of the watch: the next event may be the one that puts it right.
      return this.#watcher.failed(thrown as Error);
    }
    this.#watcher.found(peers);
  }
}

const GONE = 410;

interface Page {
  readonly items?: readonly EndpointSlice[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

interface WatchEvent {
  readonly type?: string;
  /** A slice, or the reason of an error. */
  readonly object?: EndpointSlice & { readonly code?: number; readonly message?: string };
}

function serverFrom({
  apiServer,
  tokenFile = `${ACCOUNT}/token`,
  caFile = `${ACCOUNT}/ca.crt`,
}: KubernetesOptions) {
  return { url: new URL(apiServer ?? ownCluster()), tokenFile, caFile };
}

function ownCluster(): string {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = process.env;
  if (host === undefined) {
    throw new Error(
      'KUBERNETES_SERVICE_HOST is not set: this is no pod; say where the API server is with api_server, token_file and ca_file',
    );
  }
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function nameOf({ metadata }: EndpointSlice): string {
  if (metadata?.name === undefined) throw new Error('an EndpointSlice has no name');
  return metadata.name;
}

function refuseTooMany({ size }: ReadonlyMap<string, EndpointSlice>): void {
  if (size > MAX_SLICES) throw new Error(`expected at most ${MAX_SLICES} EndpointSlices, got more`);
}

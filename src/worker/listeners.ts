/**
 * Where this worker accepts connections: on the sockets of its own slot, and for
 * a while on those of a slot whose worker is gone.
 */
import type {
  BoundAddress,
  DrainOrder,
  ListenerGrant,
  SocketName,
} from '../shared/ipc/messages.ts';
import type { Log } from '../shared/log/log.ts';
import type { ServiceRecorder } from '../shared/metrics/recorder.ts';
import type { IdentityFiles } from '../shared/tls/pem-files.ts';
import type { Accept, ListenTarget } from './downstream/accept.ts';
import { Listener, type ListenerParts } from './downstream/listener.ts';
import type { ListenerOptions } from './downstream/settings.ts';
import type { Readiness } from './tasks/readiness.ts';
import type { Dependency } from './tasks/task.ts';
import type { TlsServer } from './tls/server.ts';

/** What the clients of a service speak, as its listeners need it. */
export interface Protocol {
  /** Of the service. */
  readonly name: string;
  /** Accepts connections only once these are ready. */
  readonly after?: readonly Dependency[] | undefined;
  readonly alpn: readonly string[];
  readonly options: ListenerOptions;
  readonly connector: ListenerParts['connector'];
}

/** By service and certificate. */
export class TlsServers {
  readonly #servers = new Map<string, TlsServer>();

  add(service: string, files: IdentityFiles, server: TlsServer): void {
    this.#servers.set(tlsKey(service, files), server);
  }

  find(service: string, files: IdentityFiles): TlsServer {
    const server = this.#servers.get(tlsKey(service, files));
    if (server === undefined) throw new Error(`no TLS was built for service "${service}"`);
    return server;
  }
}

function tlsKey(service: string, { cert, key }: IdentityFiles): string {
  return JSON.stringify([service, cert, key]);
}

export interface WorkerListenersParts {
  readonly protocols: readonly Protocol[];
  readonly figuresOf: (service: string) => ServiceRecorder;
  readonly tlsServers: TlsServers;
  readonly readiness: Readiness;
  /** Nothing is opened any more. */
  readonly stopping: AbortSignal;
  /** Instead of the network. */
  readonly accept: Accept | undefined;
  readonly log: Log;
}

interface Open {
  readonly slot: number;
  readonly key: string;
  readonly listener: Listener;
}

/** More than a full queue can make necessary: somebody connects as fast as we accept. */
const MAX_QUEUE_TURNS = 100_000;

export class WorkerListeners {
  readonly #parts: WorkerListenersParts;
  #open: Open[] = [];
  #opening: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkerListenersParts) {
    this.#parts = parts;
  }

  /**
   * For each service as soon as what it depends on is ready.
   *
   * @returns nothing for services that were waited for when it was told to drain
   * @throws {Error} one of them cannot be listened on
   */
  async accept(slot: number, grants: readonly ListenerGrant[]): Promise<BoundAddress[]> {
    const { protocols, stopping } = this.#parts;
    this.#open = this.#open.filter(({ listener }) => !listener.hasEnded);
    const addresses = new Map<ListenerGrant, BoundAddress>();
    const openings = protocols.map((each) => this.#acceptFor(each, slot, grants, addresses));
    this.#opening = Promise.allSettled([this.#opening, ...openings]);
    try {
      await Promise.all(openings);
    } catch (thrown) {
      if (!stopping.aborted) throw thrown;
    }
    return grants.flatMap((grant) => addresses.get(grant) ?? []);
  }

  async #acceptFor(
    protocol: Protocol,
    slot: number,
    grants: readonly ListenerGrant[],
    addresses: Map<ListenerGrant, BoundAddress>,
  ): Promise<void> {
    const { readiness, stopping } = this.#parts;
    const { name, after = [] } = protocol;
    await readiness.wait(name, after, stopping);
    for (const grant of grants) {
      if (grant.service !== name) continue;
      const listener = await this.#listen(protocol, grant);
      this.#open.push({ slot, key: grant.key, listener });
      addresses.set(grant, boundAddress(grant, listener));
    }
    readiness.mark(name);
  }

  #listen({ options, connector }: Protocol, grant: ListenerGrant): Promise<Listener> {
    const { tlsServers, figuresOf, log, accept } = this.#parts;
    const { service, tls } = grant;
    return Listener.open({
      options,
      connector,
      figures: figuresOf(service),
      target: targetOf(grant),
      tls: tls && tlsServers.find(service, tls),
      onError: (error) => log.error({ err: error, service }, 'cannot accept'),
      accept,
    });
  }

  /** Accepts no more on the sockets of that slot; connections stay. */
  leave(slot: number): void {
    for (const open of this.#open) if (open.slot === slot) open.listener.stopAccepting();
  }

  /** Resolves when the last connection has ended. */
  async drain({ idleMs, graceMs, last, lastMs }: DrainOrder): Promise<void> {
    const isLast = (open: Open) => last === 'all' || last.some((name) => isNamed(open, name));
    const cut = setTimeout(() => this.cut(), graceMs);
    await this.#opening;
    for (const open of this.#open) {
      open.listener.drain(idleMs);
      if (!isLast(open)) open.listener.stopAccepting();
    }
    await this.#acceptTheLast(this.#open.filter(isLast), Math.min(lastMs, graceMs));
    await Promise.all(this.#open.map(({ listener }) => listener.ended()));
    clearTimeout(cut);
  }

  /** Of a drain: idle connections end sooner. */
  hurry(idleMs: number): void {
    for (const { listener } of this.#open) listener.drain(idleMs);
  }

  /** Of a drain: closes what is left, in the middle of whatever it does. */
  cut(): void {
    for (const { listener } of this.#open) listener.cut();
  }

  async #acceptTheLast(open: readonly Open[], forMs: number): Promise<void> {
    if (open.length === 0) return;
    if (forMs > 0) await new Promise((resolve) => setTimeout(resolve, forMs));
    await untilQueuesAreEmpty(open.map(({ listener }) => listener));
    for (const { listener } of open) listener.stopAccepting();
  }
}

/**
 * Closing a socket resets the connections that the kernel has completed and
 * nobody has accepted. Node accepts at most one per socket and turn of the event
 * loop, so a turn without any means that none waits.
 */
async function untilQueuesAreEmpty(listeners: readonly Listener[]): Promise<void> {
  const accepted = () => listeners.reduce((sum, { acceptedCount }) => sum + acceptedCount, 0);
  let quiet = 0;
  for (let turn = 0, before = accepted(); quiet < 2 && turn < MAX_QUEUE_TURNS; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = accepted();
    // Two, since the first may have begun in the middle of a turn.
    quiet = now === before ? quiet + 1 : 0;
    before = now;
  }
}

function isNamed(open: Open, { slot, key }: SocketName): boolean {
  return open.slot === slot && open.key === key;
}

function targetOf({ fd, place }: ListenerGrant): ListenTarget {
  if (fd !== undefined) return { fd };
  if ('path' in place) throw new Error(`the supervisor gave no socket for ${place.path}`);
  return place;
}

function boundAddress({ service, place, tls }: ListenerGrant, listener: Listener): BoundAddress {
  const where = listener.address ?? { path: 'path' in place ? place.path : '' };
  return { service, ...where, ...(tls && { tls: true }) };
}

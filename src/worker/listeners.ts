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
import { Listener } from './downstream/listener.ts';
import type { DownstreamOptions } from './downstream/settings.ts';
import type { Readiness } from './tasks/readiness.ts';
import type { Dependency } from './tasks/task.ts';
import type { TlsServer } from './tls/server.ts';

/** How the connections of a service are served. */
export interface ServiceDoor {
  readonly name: string;
  /** Accepts connections only once these are ready. */
  readonly after: readonly Dependency[];
  readonly options: DownstreamOptions;
  readonly figures: ServiceRecorder;
}

export interface WorkerListenersParts {
  readonly services: readonly ServiceDoor[];
  readonly tlsFor: (files: IdentityFiles) => TlsServer;
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
    const { services, stopping } = this.#parts;
    this.#open = this.#open.filter(({ listener }) => !listener.hasEnded);
    const addresses = new Map<ListenerGrant, BoundAddress>();
    const openings = services.map((service) => this.#acceptFor(service, slot, grants, addresses));
    this.#opening = Promise.allSettled([this.#opening, ...openings]);
    try {
      await Promise.all(openings);
    } catch (thrown) {
      if (!stopping.aborted) throw thrown;
    }
    return grants.flatMap((grant) => addresses.get(grant) ?? []);
  }

  async #acceptFor(
    service: ServiceDoor,
    slot: number,
    grants: readonly ListenerGrant[],
    addresses: Map<ListenerGrant, BoundAddress>,
  ): Promise<void> {
    const { readiness, stopping } = this.#parts;
    await readiness.wait(service.name, service.after, stopping);
    for (const grant of grants) {
      if (grant.service !== service.name) continue;
      const listener = await this.#listen(service, grant);
      this.#open.push({ slot, key: grant.key, listener });
      addresses.set(grant, boundAddress(grant, listener));
    }
    readiness.mark(service.name);
  }

  #listen({ options, figures }: ServiceDoor, grant: ListenerGrant): Promise<Listener> {
    const { tlsFor, log, accept } = this.#parts;
    const { service, tls } = grant;
    return Listener.open({
      options,
      figures,
      target: targetOf(grant),
      tls: tls && tlsFor(tls),
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

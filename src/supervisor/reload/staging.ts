/**
 * From a plan to workers that serve it, in steps that can be taken back until
 * the last one:
 *
 *   draft      addresses are bound, memory is there; nothing listens that did not before
 *   prepared   the workers have built everything; they accept nothing
 *   open       all workers accept; the tables have what the older ones knew
 *   serving    it is the one; whoever served before finishes what it has
 */
import { closeSync } from 'node:fs';
import { writeBoot, type SegmentGrant } from '../../shared/ipc/boot.ts';
import {
  discoveryDuty,
  taskDuty,
  type Duty,
  type ListenerGrant,
} from '../../shared/ipc/messages.ts';
import { showPlace } from '../../shared/ipc/place.ts';
import type { ListenAddress, Plan } from '../../shared/ipc/plan.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { DiscoveredSet, discoveredSetSpec, slotName } from '../../shared/memory/discovered-set.ts';
import { NO_ROW, PeerTable, PeerTableFull, type Standing } from '../../shared/memory/peer-table.ts';
import { monotonicNs } from '../../shared/time/clock.ts';
import type { Segment, SegmentSpec } from '../../shared/memory/segment.ts';
import { METRICS_SEGMENT, PEERS_SEGMENT, standardSegments } from '../../shared/memory/segments.ts';
import { MetricsLayout } from '../../shared/metrics/layout.ts';
import {
  addressKeys,
  type GenerationSockets,
  type ListeningSockets,
} from '../listeners/sockets.ts';
import type { GenerationSegments, SegmentStore } from '../memory/segment-store.ts';
import { StartupError } from '../startup-error.ts';
import type { Fleet } from '../workers/fleet.ts';
import type { Generation, Retirement } from '../workers/generation.ts';
import type { Book } from '../workers/ledger.ts';
import { forkProgram } from '../workers/program.ts';

export interface StagingParts {
  readonly libc: Libc | undefined;
  /** Absent with libc. */
  readonly sockets: ListeningSockets | undefined;
  readonly store: SegmentStore;
  readonly fleet: Fleet;
}

export interface PlannedPeer {
  readonly upstream: string;
  readonly peer: string;
  readonly standing: () => Standing;
  readonly inFlight: () => number;
  /** @returns false: it has no row to say so in */
  readonly setDrained: (isDrained: boolean) => boolean;
}

/** A socket that is given up accepts so long still: the handshake of a distant client takes a while. */
export const LAST_CONNECTIONS_MS = 1_000;

export class Staging {
  readonly #parts: StagingParts;

  constructor(parts: StagingParts) {
    this.#parts = parts;
  }

  /** @throws {StartupError} an address or the memory cannot be had; nothing has changed */
  draft(plan: Plan): Draft {
    return new Draft(plan, this.#parts);
  }

  /** A draft that is open serves from now on; the one before finishes what it has. */
  turnTo(next: Draft, before: Draft | undefined): void {
    this.retain(next);
    this.serve(next, before);
  }

  /** As `turnTo`, but what it does not use stays open until `retain`: it is a predecessor's still. */
  serve(next: Draft, before: Draft | undefined): void {
    this.#parts.fleet.turnTo(next.generation, before && retirement(before, next));
  }

  retain(serving: Draft): void {
    const { sockets, store } = this.#parts;
    if (serving.sockets !== undefined) sockets?.retain(serving.sockets);
    store.retain(serving.segments);
  }

  /** An open draft is left behind for the one that served before, and still does. */
  turnBack(failed: Draft, serving: Draft): void {
    this.#parts.fleet.ledger.turnTo(serving.book);
    this.retain(serving);
    void this.#parts.fleet.retire(failed.generation, retirement(failed, serving));
  }
}

export class Draft {
  readonly plan: Plan;
  readonly layout: MetricsLayout;
  readonly segments: GenerationSegments;
  readonly sockets: GenerationSockets | undefined;
  readonly book: Book;
  readonly peerTable: PeerTable;
  readonly #peers: readonly PlannedPeer[];
  readonly #parts: StagingParts;
  #generation: Generation | undefined;

  constructor(plan: Plan, parts: StagingParts) {
    const { libc, sockets, store, fleet } = parts;
    const { settings, listen, limits } = plan;
    this.plan = plan;
    this.#parts = parts;
    this.layout = MetricsLayout.of(plan);
    if (libc === undefined) listen.forEach(refuseUnixSocket);
    this.sockets = sockets?.prepare(listen, settings.threads);
    try {
      const specs = [
        ...standardSegments(this.layout, settings.threads),
        ...limits,
        ...discoverySpecs(plan),
      ];
      ({ segments: this.segments, peers: this.#peers } = openTables(plan, specs, store));
    } catch (thrown) {
      this.sockets?.undo();
      throw thrown;
    }
    this.peerTable = new PeerTable(this.segments.find(PEERS_SEGMENT));
    this.book = fleet.ledger.bookFor(this.segments.find(METRICS_SEGMENT), this.layout);
  }

  /** Those that are written down, and those that were found. */
  get peers(): readonly PlannedPeer[] {
    return [...this.#peers, ...foundPeers(this)];
  }

  get generation(): Generation {
    if (this.#generation === undefined) throw new Error('this draft has no workers');
    return this.#generation;
  }

  /**
   * Forks the workers.
   *
   * @throws {Error} one could not build what the plan says; nothing has changed
   */
  async prepare(): Promise<void> {
    const { libc, fleet } = this.#parts;
    const { settings, listen, serviceWaitMs } = this.plan;
    const { list } = this.segments;
    try {
      const bootFd = writeBoot({ ...this.plan, segments: grants(list) }, libc);
      const inherit = [bootFd, ...list.flatMap(({ fd }) => (fd === undefined ? [] : [fd]))];
      this.#generation = await fleet.prepare({
        slots: settings.threads,
        keys: addressKeys(listen),
        duties: dutiesOf(this.plan),
        stepTimeoutMs: settings.workers.start_timeout,
        serviceWaitMs,
        fork: () => forkProgram({ inherit }),
        grant: (slot) => this.sockets?.grant(slot) ?? withoutSockets(listen),
        healthLimits: {
          stuckAfterMs: settings.workers.stuck_after,
          maxMemory: settings.workers.max_memory,
          maxAgeMs: settings.workers.max_age,
        },
        renewal: retirement(this, this),
        book: this.book,
        peers: this.peerTable,
        close: () => closeSync(bootFd),
      });
    } catch (thrown) {
      this.#undo();
      throw thrown;
    }
  }

  /**
   * Lets them accept.
   *
   * @throws {Error} one does not. Others may have accepted connections: `turnBack` follows,
   *   or the end of everything
   */
  async open(): Promise<void> {
    this.sockets?.listen();
    this.#parts.fleet.ledger.turnTo(this.book);
    this.segments.fill();
    await this.generation.open();
  }

  /** Of one that was not opened. */
  async giveUp(): Promise<void> {
    if (this.#generation !== undefined) await this.#parts.fleet.giveUp(this.#generation);
    this.#undo();
  }

  #undo(): void {
    this.sockets?.undo();
    this.segments.undo();
  }
}

/** Connections of a worker that is replaced are kept as long as its requests, but not idle for long. */
export function retirement(leaving: Draft, next: Draft): Retirement {
  const { grace_period_seconds, graceful_shutdown_timeout_seconds, workers } =
    leaving.plan.settings;
  return {
    idleMs: workers.drain_idle,
    graceMs: grace_period_seconds * 1_000,
    lateMs: graceful_shutdown_timeout_seconds * 1_000,
    isLast: (socket) => next.sockets !== undefined && !next.sockets.uses(socket),
    lastMs: LAST_CONNECTIONS_MS,
  };
}

/**
 * Rows of peers are claimed here, before any worker runs, so that a full table
 * stops the start and not a worker. One that is full of peers that earlier
 * configurations had is left behind.
 */
function openTables(plan: Plan, specs: readonly SegmentSpec[], store: SegmentStore) {
  const kept = store.prepare(specs);
  try {
    return { segments: kept, peers: claimPeers(plan, kept) };
  } catch (thrown) {
    kept.undo();
    if (!(thrown instanceof PeerTableFull)) throw thrown;
    const segments = store.prepare(specs, [PEERS_SEGMENT]);
    return { segments, peers: claimPeers(plan, segments) };
  }
}

function claimPeers({ upstreams }: Plan, segments: GenerationSegments): PlannedPeer[] {
  const table = new PeerTable(segments.find(PEERS_SEGMENT));
  return upstreams.flatMap(({ name: upstream, peers }) =>
    peers.map((peer) => plannedPeer(table, upstream, peer, table.row(upstream, peer))),
  );
}

function plannedPeer(table: PeerTable, upstream: string, peer: string, row: number): PlannedPeer {
  return {
    upstream,
    peer,
    standing: () => table.standing(row, monotonicNs()),
    inFlight: () => (row === NO_ROW ? 0 : table.load.inFlight(row)),
    setDrained(isDrained) {
      if (row !== NO_ROW) table.ejections.setDrained(row, isDrained);
      return row !== NO_ROW;
    },
  };
}

function discoverySpecs({ upstreams }: Plan): SegmentSpec[] {
  return upstreams.flatMap(({ name, discovery }) =>
    discovery === undefined ? [] : [discoveredSetSpec(name, discovery)],
  );
}

function dutiesOf({ tasks, upstreams }: Plan): Duty[] {
  const discoveries = upstreams.flatMap(({ name, discovery }) =>
    discovery === undefined ? [] : [discoveryDuty(name, discovery)],
  );
  return ['health-probes', ...discoveries, ...tasks.map(taskDuty)];
}

/** Of the upstreams that have a discovery, what it says now. */
export function discoveriesOf({ plan, segments }: Draft) {
  return plan.upstreams.flatMap(({ name, discovery, peers }) => {
    if (discovery === undefined) return [];
    const { name: segment } = discoveredSetSpec(name, discovery);
    const set = new DiscoveredSet(segments.find(segment));
    return [{ upstream: name, source: discovery, peers, set }];
  });
}

function foundPeers(draft: Draft): PlannedPeer[] {
  const { peerTable: table } = draft;
  return discoveriesOf(draft).flatMap(({ upstream, source, peers, set }) =>
    (set.read()?.peers ?? [])
      .filter(({ address }) => !peers.includes(address))
      .map(({ address, slot }) => {
        const row = table.rowOrNone(upstream, slotName(source, slot));
        return plannedPeer(table, upstream, address, row);
      }),
  );
}

/** Where no calls of the C library can be made, nobody can make its file with the right mode. */
function refuseUnixSocket({ service, place }: ListenAddress): void {
  if (!('path' in place)) return;
  throw new StartupError(
    `service "${service}" cannot listen on ${showPlace(place)}: Unix sockets need Linux on x64 or arm64`,
  );
}

/** Where sockets cannot be made by libc calls, node:cluster opens the addresses. */
function withoutSockets(listen: readonly ListenAddress[]): ListenerGrant[] {
  const keys = addressKeys(listen);
  return listen.map((address, at) => ({ ...address, key: keys[at]!, fd: undefined }));
}

function grants(segments: readonly Segment[]): SegmentGrant[] {
  let next = FIRST_SEGMENT_FD;
  return segments.map(({ name, layout, size, fd }) => ({
    name,
    layout,
    size,
    fd: fd === undefined ? undefined : next++,
  }));
}

/** In a worker; the boot file comes just before. */
const FIRST_SEGMENT_FD = 5;

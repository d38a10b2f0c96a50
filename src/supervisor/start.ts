/** Builds the supervisor from its parts. No other file knows them all, so start reading here. */
import { closeSync } from 'node:fs';
import type { Settings } from '../shared/config/settings.ts';
import { writeBoot, type Boot, type SegmentGrant } from '../shared/ipc/boot.ts';
import { taskDuty, type BoundAddress } from '../shared/ipc/messages.ts';
import { showPlace, type Place } from '../shared/ipc/place.ts';
import type { ListenAddress, Plan } from '../shared/ipc/plan.ts';
import type { Log } from '../shared/log/log.ts';
import { openLibc, type Libc } from '../shared/memory/libc.ts';
import { LabelTable } from '../shared/memory/label-table.ts';
import { MetricsTable } from '../shared/memory/metrics-table.ts';
import { PeerTable } from '../shared/memory/peer-table.ts';
import type { Segment } from '../shared/memory/segment.ts';
import {
  LABELS_SEGMENT,
  METRICS_SEGMENT,
  PEERS_SEGMENT,
  standardSegments,
} from '../shared/memory/segments.ts';
import { limitEvictions } from '../shared/memory/limit-table.ts';
import { MetricsLayout } from '../shared/metrics/layout.ts';
import { MetricsPage } from '../shared/metrics/page.ts';
import { bindMetrics } from '../shared/metrics/program.ts';
import { startAdminServer, type AdminOptions, type AdminServer } from './admin/admin-server.ts';
import type { ControlPath } from './control/control-path.ts';
import {
  openControlServer,
  type ControlOptions,
  type ControlServer,
} from './control/control-server.ts';
import type { Inheritance, InheritedSockets } from './inheritance.ts';
import { ListeningSockets } from './listeners/sockets.ts';
import { SegmentStore } from './memory/segment-store.ts';
import { giveLogFiles } from './log-files.ts';
import { refused, type Operations, type Supervisor } from './operations.ts';
import type { OwnSocket } from './own-socket.ts';
import { removePidFile, takeOverPidFile, writePidFile } from './pid-file.ts';
import { become, identityOf } from './privileges.ts';
import { StartupError } from './startup-error.ts';
import { Fleet } from './workers/fleet.ts';

export interface SupervisorParts {
  readonly log: Log;
  readonly version: string;
  /** For those who ask through the control socket or the admin page. */
  readonly operations: Operations;
  readonly control: ControlPath;
  /** Gives the start up. */
  readonly abort: AbortSignal;
  /** Sockets and segments of a predecessor; what the plan has no use for is closed. */
  readonly inheritance?: Inheritance;
}

export interface StartedSupervisor extends Supervisor {
  readonly addresses: readonly BoundAddress[];
  readonly adminAddress: Place | undefined;
  /** Becomes the main process in place of a predecessor, which serves until this has returned. */
  takeOver(predecessor: number): void;
  /** For a successor. The descriptors stay ours until `drain('handed-off')`. */
  inventory(): Inheritance;
}

/** Idle connections of a stopping server: long enough for a request that is already on its way. */
const STOP_IDLE_MS = 500;

/** @throws {StartupError} something that only the operator can change; nothing is left half started */
export async function startSupervisor(
  plan: Plan,
  parts: SupervisorParts,
): Promise<StartedSupervisor> {
  const { settings } = plan;
  const { log } = parts;
  const closers: (() => unknown)[] = [];
  const closeAll = async () => {
    for (const close of closers.toReversed()) await close();
    closers.length = 0;
  };
  try {
    return await build(plan, parts, closers, closeAll);
  } catch (thrown) {
    await closeAll();
    log.flush();
    if (parts.abort.aborted || thrown instanceof StartupError || !(thrown instanceof Error))
      throw thrown;
    throw new StartupError(`cannot start: ${thrown.message}`, { cause: thrown });
  }

  async function build(
    { listen, upstreams, tasks, serviceWaitMs, limits }: Plan,
    { version, operations, abort, inheritance }: SupervisorParts,
    closers: (() => unknown)[],
    closeAll: () => Promise<void>,
  ): Promise<StartedSupervisor> {
    const { threads, pid_file } = settings;
    let handedOff = false;
    const identity = identityOf(settings.user, settings.group);
    const libc = libcOrWarn(log);
    if (libc === undefined) listen.forEach(refuseUnixSocket);
    const heirlooms = sortSockets(inheritance?.sockets);
    const sockets = libc && new ListeningSockets(libc, heirlooms.services);
    if (sockets !== undefined) closers.push(() => sockets.close());
    const prepared = sockets?.prepare(listen, threads);
    if (pid_file !== undefined) {
      // A predecessor keeps its own until it has handed everything over.
      if (inheritance === undefined) writePidFile(pid_file, identity.uid);
      closers.push(() => removePidFile(pid_file));
    }

    const layout = MetricsLayout.of(plan);
    const store = new SegmentStore(libc, inheritance?.segments);
    const segments = store.prepare([...standardSegments(layout, threads), ...limits]);
    const metrics = new MetricsTable(segments.find(METRICS_SEGMENT), layout.slots);
    const labels =
      layout.labelRows === 0 ? undefined : new LabelTable(segments.find(LABELS_SEGMENT));
    // What the program counts in this process goes into the base row, where only this process writes.
    bindMetrics({ layout, row: metrics.rowView(0), labels, log });
    const peers = new PeerTable(segments.find(PEERS_SEGMENT));
    // Rows are claimed here, before any worker runs, so that a full table stops the start and not a worker.
    const peerRows = upstreams.flatMap(({ name, peers: addresses }) =>
      addresses.map((peer) => ({ upstream: name, peer, row: peers.row(name, peer) })),
    );

    const boot: Boot = { ...plan, segments: grants(segments.list) };
    const bootFd = writeBoot(boot, libc);
    closers.push(() => closeSync(bootFd));
    const fleet = new Fleet({
      slots: threads,
      inherit: [bootFd, ...segments.list.flatMap(({ fd }) => (fd === undefined ? [] : [fd]))],
      metrics,
      passingSlots: layout.passingSlots,
      grant: (slot) =>
        prepared?.grant(slot) ?? listen.map((address) => ({ ...address, fd: undefined })),
      duties: ['health-probes', ...tasks.map(taskDuty)],
      serviceWaitMs,
      log,
    });
    const page = new MetricsPage(
      {
        layout,
        table: metrics,
        labels,
        workers: () =>
          fleet.slots.map(({ number, state, metricsRow }) => ({
            slot: number,
            row: metricsRow,
            state,
          })),
        restarts: () => fleet.restarts,
        peers: () =>
          peerRows.map(({ upstream, peer, row }) => ({
            upstream,
            peer,
            healthy: peers.verdict(row) !== 'ill',
          })),
        limits: () =>
          limits.map(({ name }) => ({ name, evictions: limitEvictions(segments.find(name)) })),
        shared: libc !== undefined,
        version,
        // The start has read the configuration too, and it was good.
        lastReload() {
          const { startedAt, lastReload } = operations.status();
          return lastReload ?? { successful: true, at: startedAt };
        },
      },
      'fleet-and-process',
    );
    const own = { libc, owner: identity, operations, log };
    const admin = await openAdmin(settings, {
      ...own,
      inherited: heirlooms.admin,
      metrics: () => page.text(),
    });
    if (admin !== undefined) closers.push(() => admin.close(handedOff));
    const control =
      libc && (await openControl(parts.control, { ...own, libc, inherited: heirlooms.control }));
    if (control !== undefined) closers.push(() => control.close(handedOff));
    giveLogFiles(logFilesOf(settings), identity);
    become(identity);
    closers.push(() => fleet.kill());
    prepared?.listen();
    const addresses = await unlessAborted(fleet.start(), abort);
    if (prepared !== undefined) sockets?.retain(prepared);
    store.retain(segments);

    return {
      addresses,
      adminAddress: admin?.place,
      takeOver(predecessor) {
        if (pid_file !== undefined) takeOverPidFile(pid_file, predecessor);
      },
      inventory: () => ({
        sockets: [
          ...(sockets?.inventory ?? []),
          ...inventoryOf(CONTROL_KEY, control?.socket),
          ...inventoryOf(ADMIN_KEY, admin?.socket),
        ],
        segments: store.inventory,
      }),
      status: () => ({
        addresses,
        control: control?.path,
        workers: fleet.slots,
        restarts: fleet.restarts,
      }),
      reload: () => Promise.resolve(refused('reload is not available in this version')),
      upgrade: () => Promise.resolve(refused('upgrade is not available in this version')),
      handOff: () => Promise.resolve(refused('hand-off is not available in this version')),
      peers: () =>
        peerRows.map(({ upstream, peer, row }) => ({
          upstream,
          peer,
          health: peers.verdict(row),
        })),
      reopenLogs() {
        log.reopen();
        fleet.reopenLogs();
      },
      async drain(reason) {
        // Else the kernel would go on completing handshakes for workers that accept no more.
        handedOff = reason === 'handed-off';
        if (handedOff) sockets?.leave();
        else sockets?.close();
        const graceMs = settings.grace_period_seconds * 1000;
        const lateMs = settings.graceful_shutdown_timeout_seconds * 1000;
        const tooLate = setTimeout(() => void fleet.kill(), graceMs + lateMs);
        await fleet.drain(Math.min(STOP_IDLE_MS, graceMs), graceMs);
        clearTimeout(tooLate);
        await closeAll();
      },
      stop: closeAll,
    };
  }
}

function unlessAborted<T>(work: Promise<T>, abort: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(abort.reason as Error);
    if (abort.aborted) giveUp();
    abort.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => abort.removeEventListener('abort', giveUp));
  });
}

/** Where no calls of the C library can be made, nobody can make its file with the right mode. */
function refuseUnixSocket({ service, place }: ListenAddress): void {
  if (!('path' in place)) return;
  throw new StartupError(
    `service "${service}" cannot listen on ${showPlace(place)}: Unix sockets need Linux on x64 or arm64`,
  );
}

function libcOrWarn(log: Log): Libc | undefined {
  const libc = openLibc();
  if (!('unavailable' in libc)) return libc;
  log.warn(
    { reason: libc.unavailable },
    'no shared memory: limits, health and figures are kept per worker',
  );
  return undefined;
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

function logFilesOf({ error_log, access_log }: Settings): string[] {
  const files = ['off', 'stdout', 'stderr'].includes(access_log) ? [] : [access_log];
  return error_log === undefined ? files : [error_log, ...files];
}

/** Of the supervisor's own sockets; those of services are addresses and have a colon. */
const CONTROL_KEY = 'control';
const ADMIN_KEY = 'admin';

function sortSockets(inherited: readonly InheritedSockets[] = []) {
  return {
    control: inherited.find(({ key }) => key === CONTROL_KEY),
    admin: inherited.find(({ key }) => key === ADMIN_KEY),
    services: inherited.filter(({ key }) => key !== CONTROL_KEY && key !== ADMIN_KEY),
  };
}

function inventoryOf(key: string, socket: OwnSocket | undefined): InheritedSockets[] {
  return socket === undefined ? [] : [{ key, place: socket.place, fds: [socket.fd] }];
}

async function openControl(
  { path, explicit }: ControlPath,
  options: Omit<ControlOptions, 'path'>,
): Promise<ControlServer | undefined> {
  try {
    return await openControlServer({ ...options, path });
  } catch (thrown) {
    const reason = `cannot listen on the control socket ${path}: ${(thrown as Error).message}`;
    if (explicit) throw new StartupError(reason, { cause: thrown });
    options.log.warn(
      { reason },
      'only signals reach this process; name a socket of its own with control_sock',
    );
    return undefined;
  }
}

async function openAdmin(
  { admin }: Settings,
  options: Omit<AdminOptions, 'place' | 'token'>,
): Promise<AdminServer | undefined> {
  if (admin === undefined) return undefined;
  try {
    return await startAdminServer({ ...options, place: admin.listen, token: admin.token });
  } catch (thrown) {
    throw new StartupError((thrown as Error).message, { cause: thrown });
  }
}

/** Builds the supervisor from its parts. No other file knows them all, so start reading here. */
import type { Settings } from '../shared/config/settings.ts';
import type { BoundAddress, SocketName } from '../shared/ipc/messages.ts';
import type { Place } from '../shared/ipc/place.ts';
import type { Plan } from '../shared/ipc/plan.ts';
import type { Log } from '../shared/log/log.ts';
import { LabelTable } from '../shared/memory/label-table.ts';
import { openLibc, type Libc } from '../shared/memory/libc.ts';
import { limitCounts } from '../shared/memory/limit-table.ts';
import { LABELS_SEGMENT } from '../shared/memory/segments.ts';
import { MetricsPage } from '../shared/metrics/page.ts';
import { bindMetrics } from '../shared/metrics/program.ts';
import { monotonicNs } from '../shared/time/clock.ts';
import { startAdminServer, type AdminOptions, type AdminServer } from './admin/admin-server.ts';
import type { ControlPath } from './control/control-path.ts';
import {
  openControlServer,
  type ControlOptions,
  type ControlServer,
} from './control/control-server.ts';
import type { Inheritance, InheritedSockets } from './inheritance.ts';
import { handOffTo, upgradeBySpawning, type GiverParts } from './handoff/give.ts';
import type { KeptAddress } from './handoff/messages.ts';
import type { Command } from './handoff/spawn.ts';
import { ListeningSockets } from './listeners/sockets.ts';
import { carryOver } from './memory/carry-over.ts';
import { SegmentStore } from './memory/segment-store.ts';
import { giveLogFiles } from './log-files.ts';
import type { DrainReason, Operations, Supervisor } from './operations.ts';
import { switchPeer } from './switch-peer.ts';
import type { OwnSocket } from './own-socket.ts';
import { removePidFile, takeOverPidFile, writePidFile } from './pid-file.ts';
import { become, identityOf } from './privileges.ts';
import { Reloader } from './reload/reload.ts';
import { LAST_CONNECTIONS_MS, Staging, discoveriesOf, type Draft } from './reload/staging.ts';
import { StartupError } from './startup-error.ts';
import { inheritPassed } from './systemd/kept.ts';
import type { PassedDescriptor } from './systemd/passed-sockets.ts';
import { Fleet } from './workers/fleet.ts';
import type { Retirement } from './workers/generation.ts';
import { Ledger } from './workers/ledger.ts';

export interface SupervisorParts {
  readonly log: Log;
  readonly version: string;
  /** For those who ask through the control socket or the admin page. */
  readonly operations: Operations;
  readonly control: ControlPath;
  /** Gives the start up. */
  readonly abort: AbortSignal;
  /** What the service manager has opened or kept for us. */
  readonly passed: readonly PassedDescriptor[];
  /** Sockets and segments of a predecessor; what the plan has no use for is closed. */
  readonly inheritance?: Inheritance | undefined;
  /** The configuration file. */
  readonly conf: string | undefined;
  /** What starts a successor. */
  readonly command: Command;
  /** Which process is the main one, for a service manager. */
  readonly onMainProcess: (pid: number) => void;
}

export interface StartedSupervisor extends Supervisor {
  readonly addresses: readonly BoundAddress[];
  readonly adminAddress: Place | undefined;
  /**
   * Lets the workers accept. Only for the successor of a predecessor; else they do already.
   *
   * @throws {StartupError} one does not, and others may have accepted: `drain` follows
   */
  open(): Promise<void>;
  /** Becomes the main process in place of a predecessor, which serves until this has returned. */
  takeOver(predecessor: number): void;
  /** Answers on the control socket and the admin page, now that the predecessor does not. */
  answer(): Promise<void>;
  /** The addresses it goes on with, for a predecessor. */
  readonly kept: readonly KeptAddress[];
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
  let closing: Promise<void> | undefined;
  // Once: a stop may overtake a drain.
  const closeAll = () =>
    (closing ??= (async () => {
      for (const close of closers.toReversed()) await close();
    })());
  try {
    return await build(plan, parts, closers, closeAll);
  } catch (thrown) {
    await closeAll();
    log.flush();
    throw parts.abort.aborted ? thrown : asStartupError(thrown);
  }

  async function build(
    plan: Plan,
    { version, operations, abort, inheritance, passed }: SupervisorParts,
    closers: (() => unknown)[],
    closeAll: () => Promise<void>,
  ): Promise<StartedSupervisor> {
    const { pid_file } = settings;
    // Files of sockets that a predecessor or a successor serves are not ours to remove.
    let keepsFiles = inheritance !== undefined;
    const identity = identityOf(settings.user, settings.group);
    const libc = libcOrWarn(log);
    const given =
      inheritance ?? (libc && inheritPassed(passed, { listen: plan.listen, libc, log }));
    const heirlooms = sortSockets(given?.sockets);
    const sockets = libc && new ListeningSockets(libc, heirlooms.services);
    if (sockets !== undefined) closers.push(() => (keepsFiles ? sockets.leave() : sockets.close()));
    const store = new SegmentStore(libc, carryOver, given?.segments);
    const ledger = new Ledger();
    const fleet = new Fleet(ledger, log);
    const staging = new Staging({ libc, sockets, store, fleet });
    const first = staging.draft(plan);
    if (pid_file !== undefined) {
      // A predecessor keeps its own until it has handed everything over.
      if (inheritance === undefined) writePidFile(pid_file, identity.uid);
      closers.push(() => removePidFile(pid_file));
    }
    ledger.turnTo(first.book);
    countHere(first, ledger, log);
    const reloader = new Reloader({
      staging,
      libc,
      first,
      log,
      version,
      hasDropped: mayDrop(settings),
    });
    const page = new MetricsPage(
      {
        get layout() {
          return reloader.serving.layout;
        },
        table: ledger,
        get labels() {
          return labelsOf(reloader.serving);
        },
        workers: () =>
          fleet.slots.map(({ number, state, metricsRow }) => ({
            slot: number,
            row: metricsRow,
            state,
          })),
        restarts: () => fleet.restarts,
        peers: () =>
          reloader.serving.peers.map(({ upstream, peer, standing, inFlight }) => ({
            upstream,
            peer,
            healthy: !['ill', 'ejected', 'drained'].includes(standing()),
            inFlight: inFlight(),
          })),
        discoveries: () =>
          discoveriesOf(reloader.serving).map(({ upstream, set }) => ({
            upstream,
            ...set.figures(monotonicNs()),
          })),
        limits: () => limitsOf(reloader.serving),
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
    if (admin !== undefined) closers.push(() => admin.close(keepsFiles));
    const control =
      libc && openControl(parts.control, { ...own, libc, inherited: heirlooms.control });
    if (control !== undefined) closers.push(() => control.close(keepsFiles));
    const answer = async () => void (await Promise.all([admin?.accept(), control?.accept()]));
    // Whoever asks while a predecessor serves wants to hear of that one.
    if (inheritance === undefined) await answer();
    giveLogFiles(logFilesOf(settings), identity);
    become(identity);
    closers.push(() => fleet.kill());
    await unlessAborted(first.prepare(), abort);
    const open = async () => {
      await first.open();
      if (inheritance === undefined) staging.turnTo(first, undefined);
      else staging.serve(first, undefined);
    };
    // A successor's workers take connections of the predecessor's: if one of them fails then, the
    // others are not ended but drained.
    if (inheritance === undefined) await unlessAborted(open(), abort);

    const inventory = () => ({
      sockets: [
        ...(sockets?.inventory ?? []),
        ...inventoryOf(CONTROL_KEY, control?.socket),
        ...inventoryOf(ADMIN_KEY, admin?.socket),
      ],
      segments: store.inventory,
    });
    /** Of the addresses that were handed over, what the successor goes on with. */
    let kept: readonly KeptAddress[] = [];
    const giver: GiverParts = {
      libc,
      settings,
      release: version,
      conf: parts.conf,
      command: parts.command,
      estate: inventory,
      onOwner(successor, itsAddresses) {
        kept = itsAddresses;
        parts.onMainProcess(successor);
      },
      onKept(successor) {
        if (pid_file !== undefined) takeOverPidFile(pid_file, successor);
      },
      log,
    };

    return {
      get addresses() {
        return fleet.addresses;
      },
      open: () =>
        open().catch((thrown: unknown) => {
          throw asStartupError(thrown);
        }),
      adminAddress: admin?.place,
      takeOver(predecessor) {
        if (pid_file !== undefined) takeOverPidFile(pid_file, predecessor);
        keepsFiles = false;
        staging.retain(first);
      },
      answer: () =>
        answer().catch((error: unknown) =>
          log.error({ err: error }, 'no answers on the control socket and the admin page'),
        ),
      inventory,
      kept: keptOf(first, inventory()),
      status: () => ({
        addresses: fleet.addresses,
        control: control?.path,
        workers: fleet.slots,
        restarts: fleet.restarts,
        segments: store.status,
      }),
      reload: (stop) => reloader.reload(stop),
      upgrade: (stop) => upgradeBySpawning(giver, stop),
      handOff: (stop) => handOffTo(giver, stop),
      peers: () =>
        reloader.serving.peers.map(({ upstream, peer, standing }) => ({
          upstream,
          peer,
          health: standing(),
        })),
      switchPeer: (order) => switchPeer(reloader.serving.peers, order, log),
      reopenLogs() {
        log.reopen();
        fleet.reopenLogs();
      },
      async drain(reason) {
        // Else the kernel would go on completing handshakes for workers that accept no more.
        const { settings: own } = reloader.serving.plan;
        const isLast = endsWithUs(kept, inventory());
        if (reason === 'handed-off') {
          keepsFiles = true;
          sockets?.leave();
          // A client of the pages is better answered by the successor.
          control?.close(keepsFiles);
          await admin?.close(keepsFiles);
        } else sockets?.close();
        await fleet.drain(leaving(reason, own, isLast));
        await closeAll();
      },
      stop: closeAll,
    };
  }
}

function asStartupError(thrown: unknown): unknown {
  if (thrown instanceof StartupError || !(thrown instanceof Error)) return thrown;
  return new StartupError(`cannot start: ${thrown.message}`, { cause: thrown });
}

function unlessAborted<T>(work: Promise<T>, abort: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(abort.reason as Error);
    if (abort.aborted) giveUp();
    abort.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => abort.removeEventListener('abort', giveUp));
  });
}

function keptOf({ sockets }: Draft, { sockets: all }: Inheritance): KeptAddress[] {
  return all.map(({ key }) => ({ key, sockets: sockets?.slotsOf(key) ?? 0 }));
}

/** Sockets on which nobody accepts any more once we have gone. */
function endsWithUs(
  kept: readonly KeptAddress[],
  { sockets }: Inheritance,
): (socket: SocketName) => boolean {
  const slots = new Map(kept.map(({ key, sockets: count }) => [key, count]));
  const shared = new Set(sockets.flatMap(({ key, fds }) => (fds.length === 1 ? [key] : [])));
  return ({ key, slot }) => (shared.has(key) ? 0 : slot) >= (slots.get(key) ?? 0);
}

/** What the program counts in this process has a row of its own, as in every other. */
function countHere({ book, layout, segments }: Draft, ledger: Ledger, log: Log): void {
  const number = ledger.claim(book);
  ledger.assign(book, number, process.pid);
  const row = book.table.rowView(number);
  bindMetrics({ layout, row, labels: labelsOf({ layout, segments }), log });
}

function labelsOf({ layout, segments }: Pick<Draft, 'layout' | 'segments'>) {
  return layout.labelRows === 0 ? undefined : new LabelTable(segments.find(LABELS_SEGMENT));
}

function limitsOf({ plan, segments }: Draft) {
  return plan.limits.map(({ name }) => limitCounts(segments.find(name)));
}

/** What is queued is served; with a successor the rest goes on there. */
function leaving(
  reason: DrainReason,
  settings: Settings,
  isLast: Retirement['isLast'],
): Retirement {
  const { grace_period_seconds, graceful_shutdown_timeout_seconds, workers } = settings;
  const graceMs = grace_period_seconds * 1_000;
  return {
    idleMs: reason === 'handed-off' ? workers.drain_idle : Math.min(STOP_IDLE_MS, graceMs),
    graceMs,
    lateMs: graceful_shutdown_timeout_seconds * 1_000,
    isLast,
    lastMs: reason === 'handed-off' ? LAST_CONNECTIONS_MS : 0,
  };
}

function mayDrop({ user, group }: Settings): boolean {
  return user !== undefined || group !== undefined;
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

function openControl(
  { path, explicit }: ControlPath,
  options: Omit<ControlOptions, 'path'>,
): ControlServer | undefined {
  try {
    return openControlServer({ ...options, path });
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

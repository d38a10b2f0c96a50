/** What a program's forked processes do: take their grants, serve, drain when told to. */
import cluster from 'node:cluster';
import { readBoot, type Boot } from '../shared/ipc/boot.ts';
import {
  IPC_VERSION,
  type DrainOrder,
  type ToSupervisor,
  type ToWorker,
} from '../shared/ipc/messages.ts';
import type { BootService, Plan } from '../shared/ipc/plan.ts';
import { createLog, type Log } from '../shared/log/log.ts';
import { openLibc } from '../shared/memory/libc.ts';
import { createSegment, mapSegment, type Segment } from '../shared/memory/segment.ts';
import { standardSegments } from '../shared/memory/segments.ts';
import { MetricsLayout } from '../shared/metrics/layout.ts';
import type { Clock } from '../shared/time/clock.ts';
import { machineTime } from '../shared/time/time.ts';
import { discoverySpecs } from '../worker/discovered-peers.ts';
import { inlineMore } from '../worker/inlining.ts';
import { buildWorker, type Worker, type WorkerParts, type WorkerService } from '../worker/start.ts';
import { BackgroundService } from './background-service.ts';
import { dependenciesOf, type Dependencies } from './dependencies.ts';
import { HttpProxyService, type ListeningService, type Service } from './service.ts';
import { TcpService } from './tcp-service.ts';
import { version } from './version.ts';

/** A worker whose supervisor is gone serves on so long, for a new one to take over the sockets. */
const ORPHAN_MS = 30_000;

export async function runWorker(services: readonly Service[], clock: Clock): Promise<never> {
  const boot = readBoot();
  const log = openLog(boot);
  ignoreSignals();
  const told = listenToSupervisor();
  tell({ kind: 'hello', version: IPC_VERSION });
  const start = await told.next('start');
  if (boot.settings.workers.cpu_pinning) pin(start.slot, log);
  const worker = await orSay(log, () => build({ services, boot, start, clock, log }));
  inlineMore();
  tell({ kind: 'built' });

  const order = await untilDrained(worker, start.slot, told, log);
  void endSooner(worker, told);
  await worker.drain(order);
  tell({ kind: 'drained' });
  log.flush();
  process.exit(0);
}

type Start = Extract<ToWorker, { kind: 'start' }>;

/** On one of the CPUs that the supervisor may use, by turns. */
function pin(slot: number, log: Log): void {
  const libc = openLibc();
  if ('unavailable' in libc) return log.warn({ reason: libc.unavailable }, 'worker not pinned');
  const cpus = libc.allowedCpus();
  libc.pinTo(cpus[slot % cpus.length]!);
}

interface BuildParts {
  readonly services: readonly Service[];
  readonly boot: Boot;
  readonly start: Start;
  readonly clock: Clock;
  readonly log: Log;
}

function build({ services, boot, start, clock, log }: BuildParts): Worker {
  const { metricsRow, slot, readyServices } = start;
  return buildWorker({
    ...partsOf(services, boot),
    readyServices,
    segments: mapSegments(boot),
    slot,
    metricsRow,
    version: version(),
    time: { ...machineTime, clock },
    log: log.child({ slot }),
    reports: {
      serviceReady: (service) => tell({ kind: 'service-ready', service }),
      dutyEnded: (duty, how) => tell({ kind: 'duty-ended', duty, how }),
    },
  });
}

/**
 * Builds what a worker would build from that plan, with memory of its own.
 *
 * @throws {Error} something cannot be built
 */
export function buildForTrial(services: readonly Service[], plan: Plan): void {
  const specs = [
    ...standardSegments(MetricsLayout.of(plan), 1),
    ...plan.limits,
    ...discoverySpecs(),
  ];
  buildWorker({
    ...partsOf(services, { ...plan, segments: [] }),
    segments: new Map(specs.map((spec) => [spec.name, createSegment(spec, undefined)])),
    slot: 0,
    metricsRow: 1,
    version: version(),
    time: machineTime,
    log: createLog({ level: 'error', destination: 'stderr', name: 'worker' }),
  });
}

/** What a worker is made of that does not depend on the process. */
function partsOf(
  services: readonly Service[],
  boot: Boot,
): Pick<WorkerParts, 'boot' | 'services' | 'streams' | 'tasks'> {
  const dependencies = dependenciesOf(services);
  return {
    boot,
    services: services
      .filter((service) => service instanceof HttpProxyService)
      .map((service) => withSettings(service, boot, dependencies)),
    streams: services
      .filter((service) => service instanceof TcpService)
      .map((service) => {
        const { name, handler, limits } = service;
        const after = dependencies.get(name) ?? [];
        return { name, handler, own: limits, settings: settingsOf(service, boot), after };
      }),
    tasks: services
      .filter((service) => service instanceof BackgroundService)
      .map(({ name, task }) => ({ name, task, after: dependencies.get(name) ?? [] })),
  };
}

/** A step of the start; if it fails, the supervisor is told why and the process ends. */
async function orSay<T>(log: Log, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    log.error({ err: thrown }, 'worker cannot start');
    log.flush();
    // The process must not end before the reason has left.
    return new Promise(() =>
      process.send!({ kind: 'failed', reason }, undefined, undefined, () => process.exit(1)),
    );
  }
}

function withSettings(
  service: HttpProxyService,
  boot: Boot,
  dependencies: Dependencies,
): WorkerService {
  const { name, proxy, timing, showMetrics } = service;
  const settings = settingsOf(service, boot);
  const after = dependencies.get(name) ?? [];
  return { name, proxy, settings, own: timing, showMetrics, after };
}

function settingsOf({ name }: ListeningService, boot: Boot): BootService {
  const settings = boot.services.find((each) => each.name === name);
  if (settings === undefined) {
    throw new Error(
      `service "${name}" exists in this worker but not in the supervisor: services must not depend on the process`,
    );
  }
  return settings;
}

function mapSegments(boot: Boot): ReadonlyMap<string, Segment> {
  const libc = openLibc();
  return new Map(
    boot.segments.map((spec) => {
      if (spec.fd === undefined) return [spec.name, createSegment(spec, undefined)];
      if ('unavailable' in libc) throw new Error(`cannot map shared memory: ${libc.unavailable}`);
      return [spec.name, mapSegment(spec, spec.fd, libc)];
    }),
  );
}

function openLog({ settings }: Boot): Log {
  return createLog({
    level: settings.log.level,
    destination: settings.error_log ?? 'stderr',
    name: 'worker',
    ownsOutput: settings.daemon,
  });
}

/** A terminal sends its signals to every process of the program; only the supervisor acts on them. */
function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR1'] as const)
    process.on(signal, () => {});
}

interface Told {
  next<Kind extends ToWorker['kind']>(...kinds: Kind[]): Promise<Extract<ToWorker, { kind: Kind }>>;
}

/** Messages in order, kept until they are asked for: some arrive while the worker still starts. */
function listenToSupervisor(): Told {
  const arrived: ToWorker[] = [];
  let wake: (() => void) | undefined;
  let mayServe = false;
  process.on('message', (message: ToWorker) => {
    mayServe ||= message.kind === 'accept';
    arrived.push(message);
    wake?.();
  });
  // Without a supervisor nobody replaces us, but the sockets still bring requests.
  cluster.worker!.on('disconnect', () => {
    if (!mayServe) process.exit(0);
    cluster.worker!.exitedAfterDisconnect = true;
    setTimeout(() => {
      arrived.push({ kind: 'drain', idleMs: 0, graceMs: ORPHAN_MS, last: 'all', lastMs: 0 });
      wake?.();
    }, ORPHAN_MS);
  });
  return {
    async next<Kind extends ToWorker['kind']>(...kinds: Kind[]) {
      for (;;) {
        const at = arrived.findIndex(({ kind }) => kinds.includes(kind as Kind));
        if (at >= 0) return arrived.splice(at, 1)[0] as Extract<ToWorker, { kind: Kind }>;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** Does what the supervisor says until that is to drain. */
async function untilDrained(
  worker: Worker,
  ownSlot: number,
  told: Told,
  log: Log,
): Promise<DrainOrder> {
  for (;;) {
    const message = await told.next(
      'accept',
      'leave',
      'duty',
      'service-ready',
      'reopen-logs',
      'drain',
    );
    switch (message.kind) {
      case 'accept':
        // Not awaited: it may wait for services that need what is said next.
        if (message.slot === ownSlot) void orSay(log, () => accept(worker, message));
        else void accept(worker, message).catch((error) => sayUncovered(log, message, error));
        break;
      case 'leave':
        worker.leave(message.slot);
        break;
      case 'duty':
        log.debug({ duty: message.duty }, 'duty taken');
        worker.take(message.duty);
        break;
      case 'service-ready':
        worker.serviceReady(message.service);
        break;
      case 'reopen-logs':
        worker.reopenLogs();
        break;
      case 'drain':
        return message;
    }
  }
}

/** What the supervisor may still say to a worker that drains. */
async function endSooner(worker: Worker, told: Told): Promise<void> {
  for (;;) {
    const message = await told.next('drain', 'cut');
    if (message.kind === 'cut') worker.cut();
    else worker.hurry(message.idleMs);
  }
}

type Accept = Extract<ToWorker, { kind: 'accept' }>;

async function accept(worker: Worker, { slot, listeners }: Accept): Promise<void> {
  const addresses = await worker.accept(slot, listeners);
  tell({ kind: 'accepting', slot, addresses });
}

/** Not the end of anything: what waits in that slot waits for its own worker. */
function sayUncovered(log: Log, { slot }: Accept, error: unknown): void {
  log.warn({ err: error, uncovered: slot }, 'cannot accept for a slot without a worker');
}

function tell(message: ToSupervisor): void {
  // A supervisor that died a moment ago is no error: its end is heard as that of the channel.
  if (process.connected) process.send!(message, () => {});
}

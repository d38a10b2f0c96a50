/**
 * The workers: as many as there are slots, each replaced when it dies. The
 * fleet also sees to it that one ready worker has each duty.
 *
 * A slot:  starting → ready → (dead → waiting →) starting … ; on drain → gone
 */
import cluster, { type Worker as Process } from 'node:cluster';
import {
  IPC_VERSION,
  type BoundAddress,
  type Duty,
  type ListenerGrant,
  type ToSupervisor,
  type ToWorker,
} from '../../shared/ipc/messages.ts';
import type { Log } from '../../shared/log/log.ts';
import type { MetricsTable } from '../../shared/memory/metrics-table.ts';
import { ProcessSlot } from '../../shared/metrics/layout.ts';
import { afterDeath } from '../../shared/time/back-off.ts';

/** A worker that is not ready by then is replaced; time to wait for services comes on top. */
const START_TIMEOUT_MS = 30_000;

export type SlotState = 'starting' | 'ready' | 'waiting' | 'draining';

export interface Slot {
  readonly number: number;
  readonly state: SlotState;
  readonly pid: number | undefined;
  readonly metricsRow: number;
}

export interface FleetParts {
  readonly slots: number;
  /** Descriptors that every worker inherits, from number 4 on. */
  readonly inherit: readonly number[];
  readonly metrics: MetricsTable;
  /** Slots of a metrics row that mean nothing after their process. */
  readonly passingSlots: ReadonlySet<number>;
  readonly grant: (slot: number) => ListenerGrant[];
  readonly duties: readonly Duty[];
  /** So long a worker may wait for background services before it accepts. */
  readonly serviceWaitMs: number;
  readonly log: Log;
}

interface Member {
  readonly slot: number;
  readonly process: Process;
  readonly metricsRow: number;
  readonly startedAt: number;
  readonly duties: Set<Duty>;
  /** It can have duties, though it may not accept yet. */
  isBuilt: boolean;
  state: SlotState;
  startTimer: NodeJS.Timeout | undefined;
}

export class Fleet {
  /** Replacements since the start. */
  restarts = 0;
  readonly #parts: FleetParts;
  readonly #members = new Map<number, Member>();
  readonly #youngDeaths = new Map<number, number>();
  readonly #waiting = new Map<number, NodeJS.Timeout>();
  readonly #freeRows: number[];
  readonly #readyServices = new Set<string>();
  readonly #doneDuties = new Set<Duty>();
  #stopping = false;
  #started: PromiseWithResolvers<readonly BoundAddress[]> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(parts: FleetParts) {
    this.#parts = parts;
    // Row 0 is the base row.
    this.#freeRows = Array.from({ length: parts.metrics.rows - 1 }, (_, index) => index + 1);
  }

  /**
   * Forks every slot.
   *
   * @returns where the workers listen, once all are ready
   * @throws {Error} one could not start; the reason is the worker's own
   */
  start(): Promise<readonly BoundAddress[]> {
    // Workers accept by themselves: passing each connection through here costs 60 µs.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      // The same program, whatever started this one; a fork runs it as a worker.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...this.#parts.inherit],
    });
    this.#started = Promise.withResolvers();
    for (let slot = 0; slot < this.#parts.slots; slot++) this.#fork(slot);
    return this.#started.promise;
  }

  get slots(): readonly Slot[] {
    return Array.from({ length: this.#parts.slots }, (_, number) => {
      const member = this.#members.get(number);
      if (member === undefined) return { number, state: 'waiting', pid: undefined, metricsRow: 0 };
      const { state, metricsRow, process } = member;
      return { number, state, pid: process.process.pid, metricsRow };
    });
  }

  reopenLogs(): void {
    for (const member of this.#members.values()) send(member, { kind: 'reopen-logs' });
  }

  /** No more replacements; every worker finishes its requests. Resolves when the last one has gone. */
  drain(idleMs: number, graceMs: number): Promise<void> {
    this.#stop();
    for (const member of this.#members.values()) {
      member.state = 'draining';
      send(member, { kind: 'drain', idleMs, graceMs });
    }
    return this.#empty();
  }

  /** Ends every worker at once, in the middle of whatever it does. */
  kill(): Promise<void> {
    this.#stop();
    for (const { process } of this.#members.values()) process.process.kill('SIGKILL');
    return this.#empty();
  }

  #stop(): void {
    this.#stopping = true;
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #empty(): Promise<void> {
    if (this.#members.size === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    return promise;
  }

  #fork(slot: number): void {
    const metricsRow = this.#freeRows.shift();
    if (metricsRow === undefined)
      throw new Error('no free metrics row: more workers are alive than can be');
    const process = cluster.fork();
    const member: Member = {
      slot,
      process,
      metricsRow,
      startedAt: performance.now(),
      duties: new Set(),
      isBuilt: false,
      state: 'starting',
      startTimer: setTimeout(() => this.#startedTooSlowly(member), this.#startTimeoutMs),
    };
    this.#members.set(slot, member);
    process.on('message', (message: ToSupervisor) => this.#heard(member, message));
    process.on('exit', (code, signal) => this.#died(member, signal ?? `exit code ${code}`));
    process.on('error', (error) =>
      this.#parts.log.error({ err: error, slot }, 'worker channel failed'),
    );
  }

  #heard(member: Member, message: ToSupervisor): void {
    switch (message.kind) {
      case 'hello':
        return this.#greet(member, message.version);
      case 'built':
        member.isBuilt = true;
        return this.#assignDuties();
      case 'service-ready':
        return this.#serviceReady(message.service);
      case 'duty-ended':
        return this.#dutyEnded(member, message.duty, message.how);
      case 'ready':
        return this.#ready(member, message.addresses);
      case 'failed':
        return this.#failed(member, message.reason);
      case 'drained':
        return;
    }
  }

  #greet(member: Member, version: number): void {
    if (version !== IPC_VERSION) {
      return this.#failed(
        member,
        `it speaks version ${version} of the worker protocol, not ${IPC_VERSION}`,
      );
    }
    const { slot, metricsRow } = member;
    const listeners = this.#parts.grant(slot);
    const readyServices = [...this.#readyServices];
    send(member, {
      kind: 'start',
      version: IPC_VERSION,
      slot,
      metricsRow,
      listeners,
      readyServices,
    });
  }

  #ready(member: Member, addresses: readonly BoundAddress[]): void {
    clearTimeout(member.startTimer);
    // A drain that was asked for meanwhile is still on its way to the worker.
    if (member.state === 'starting') member.state = 'ready';
    const { slot, process } = member;
    this.#parts.log.info({ slot, workerPid: process.process.pid }, 'worker ready');
    const members = [...this.#members.values()];
    if (members.length === this.#parts.slots && members.every(({ state }) => state === 'ready')) {
      this.#started?.resolve(addresses);
      this.#started = undefined;
    }
  }

  #failed(member: Member, reason: string): void {
    this.#parts.log.error({ slot: member.slot, reason }, 'worker cannot start');
    this.#started?.reject(new Error(reason));
    this.#started = undefined;
  }

  #startedTooSlowly(member: Member): void {
    const { slot, process } = member;
    this.#parts.log.error(
      { slot, workerPid: process.process.pid },
      `worker not ready after ${this.#startTimeoutMs} ms`,
    );
    process.process.kill('SIGKILL');
  }

  #died(member: Member, how: string): void {
    const { slot, metricsRow, process } = member;
    clearTimeout(member.startTimer);
    this.#members.delete(slot);
    this.#parts.metrics.fold(metricsRow, this.#parts.passingSlots);
    this.#freeRows.push(metricsRow);
    if (this.#stopping) {
      if (this.#members.size === 0) this.#onEmpty?.();
      return;
    }
    if (this.#started !== undefined) {
      this.#started.reject(
        new Error(`worker ${process.process.pid} ended before it was ready: ${how}`),
      );
      this.#started = undefined;
      return;
    }
    this.#replace(member, how);
    this.#assignDuties();
  }

  #replace({ slot, process, startedAt }: Member, how: string): void {
    const livedMs = performance.now() - startedAt;
    const { youngDeaths, waitMs } = afterDeath(this.#youngDeaths.get(slot) ?? 0, livedMs);
    this.#youngDeaths.set(slot, youngDeaths);
    this.restarts += 1;
    // There for workers that show the metrics page.
    this.#parts.metrics.rowView(0)[ProcessSlot.restarts]! += 1;
    const fields = {
      slot,
      workerPid: process.process.pid,
      how,
      livedMs: Math.round(livedMs),
      waitMs,
    };
    this.#parts.log.error(fields, 'worker died; replacing it');
    if (waitMs === 0) return this.#fork(slot);
    const timer = setTimeout(() => {
      this.#waiting.delete(slot);
      this.#fork(slot);
    }, waitMs);
    this.#waiting.set(slot, timer);
  }

  get #startTimeoutMs(): number {
    return START_TIMEOUT_MS + this.#parts.serviceWaitMs;
  }

  #serviceReady(service: string): void {
    if (this.#readyServices.has(service)) return;
    this.#readyServices.add(service);
    for (const member of this.#members.values()) send(member, { kind: 'service-ready', service });
  }

  #dutyEnded(member: Member, duty: Duty, how: 'done' | 'stopped'): void {
    member.duties.delete(duty);
    if (how === 'done') this.#doneDuties.add(duty);
    else if (!this.#stopping) this.#assignDuties();
  }

  /** Each to whom has the fewest. */
  #assignDuties(): void {
    const members = [...this.#members.values()];
    for (const duty of this.#parts.duties) {
      if (this.#doneDuties.has(duty) || members.some((member) => member.duties.has(duty))) continue;
      const [taker] = members.filter(canTake).sort((a, b) => a.duties.size - b.duties.size);
      if (taker === undefined) continue;
      taker.duties.add(duty);
      send(taker, { kind: 'duty', duty });
    }
  }
}

function canTake({ isBuilt, state }: Member): boolean {
  return isBuilt && state !== 'draining';
}

/** A worker whose channel is gone is about to be reported dead; what was sent to it is moot. */
function send({ process }: Member, message: ToWorker): void {
  if (process.isConnected()) process.send(message, undefined, undefined, () => {});
}

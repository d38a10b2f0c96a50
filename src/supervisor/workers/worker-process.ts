/**
 * One forked process: what it has said, what it is told, and how long it may take.
 *
 *   starting → built → opening → ready → draining → gone
 */
import type { Worker as Process } from 'node:cluster';
import {
  IPC_VERSION,
  type BoundAddress,
  type DrainOrder,
  type Duty,
  type ListenerGrant,
  type ToSupervisor,
  type ToWorker,
} from '../../shared/ipc/messages.ts';
import type { Log } from '../../shared/log/log.ts';
import { explainSystemError } from '../../shared/open-files.ts';
import { Loans } from './loans.ts';
import { Pulse } from './watch.ts';

export type ProcessState = 'starting' | 'built' | 'opening' | 'ready' | 'draining';

/** Who has forked it. */
export interface ProcessOwner {
  /** It could accept now, and can have duties. */
  onBuilt(worker: WorkerProcess): void;
  /** It accepts on the sockets of its own slot. */
  onReady(worker: WorkerProcess, addresses: readonly BoundAddress[]): void;
  /** The background service that it runs is ready. */
  onServiceReady(service: string): void;
  /** It has that duty no longer. */
  onDutyEnded(worker: WorkerProcess, duty: Duty, how: 'done' | 'stopped'): void;
  /** It cannot start; its end follows. */
  onFailed(worker: WorkerProcess, reason: string): void;
  /** @param how exit code or signal */
  onGone(worker: WorkerProcess, how: string): void;
}

export interface ProcessParts {
  readonly process: Process;
  readonly slot: number;
  readonly metricsRow: number;
  /** For each of its two steps: to build everything, and to accept. */
  readonly stepTimeoutMs: number;
  /** So long it may wait for background services before it accepts. */
  readonly serviceWaitMs: number;
  /** Background services that are ready already. */
  readonly readyServices: readonly string[];
  readonly owner: ProcessOwner;
  readonly log: Log;
}

export class WorkerProcess {
  readonly slot: number;
  readonly metricsRow: number;
  readonly #startedAt = performance.now();
  readonly duties = new Set<Duty>();
  readonly pulse = new Pulse();
  /** Slots without a worker that it accepts for. */
  readonly covers = new Set<number>();
  readonly #loans = new Loans();
  readonly #process: Process;
  readonly #owner: ProcessOwner;
  readonly #log: Log;
  readonly #stepTimeoutMs: number;
  readonly #serviceWaitMs: number;
  readonly #readyServices: readonly string[];
  #state: ProcessState = 'starting';
  #isGone = false;
  #stepTimer: NodeJS.Timeout | undefined;

  constructor({
    process,
    slot,
    metricsRow,
    stepTimeoutMs,
    serviceWaitMs,
    readyServices,
    owner,
    log,
  }: ProcessParts) {
    this.#stepTimeoutMs = stepTimeoutMs;
    this.#serviceWaitMs = serviceWaitMs;
    this.#readyServices = readyServices;
    this.slot = slot;
    this.metricsRow = metricsRow;
    this.#process = process;
    this.#owner = owner;
    this.#log = log;
    this.#begin('starting');
    process.on('message', (message: unknown) => {
      // Programs can send messages of their own, of which we know nothing.
      if (isMessage(message)) this.#heard(message);
    });
    process.on('disconnect', () => this.#loans.end());
    process.on('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`));
    process.on('error', (error) => {
      log.error({ err: error, slot }, 'worker channel failed');
      // It was never started, so no exit follows.
      if (process.process.pid === undefined) this.#ended(explainSystemError(error));
    });
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** Undefined if the system would not start it. */
  get pid(): number | undefined {
    return this.#process.process.pid;
  }

  get livedMs(): number {
    return performance.now() - this.#startedAt;
  }

  accept(listeners: readonly ListenerGrant[]): void {
    this.#begin('opening');
    this.#lend(this.slot, listeners);
  }

  cover(slot: number, listeners: readonly ListenerGrant[]): void {
    this.covers.add(slot);
    this.#lend(slot, listeners);
  }

  uncover(slot: number): void {
    if (this.covers.delete(slot)) this.#send({ kind: 'leave', slot });
  }

  take(duty: Duty): void {
    this.duties.add(duty);
    this.#send({ kind: 'duty', duty });
  }

  serviceReady(service: string): void {
    this.#send({ kind: 'service-ready', service });
  }

  reopenLogs(): void {
    this.#send({ kind: 'reopen-logs' });
  }

  drain(order: DrainOrder): void {
    clearTimeout(this.#stepTimer);
    if (this.#state === 'starting') return this.kill();
    this.#state = 'draining';
    this.#send({ kind: 'drain', ...order });
  }

  /** Of a drain: its time is over. */
  cut(): void {
    this.#send({ kind: 'cut' });
  }

  /** In the middle of whatever it does. */
  kill(): void {
    if (!this.#isGone) this.#process.process.kill('SIGKILL');
  }

  #lend(slot: number, listeners: readonly ListenerGrant[]): void {
    this.#loans.lend(slot, listeners);
    if (this.#process.isConnected()) this.#send({ kind: 'accept', slot, listeners });
    else this.#loans.end();
  }

  #begin(step: 'starting' | 'opening'): void {
    this.#state = step;
    clearTimeout(this.#stepTimer);
    const timeoutMs = this.#stepTimeoutMs + (step === 'opening' ? this.#serviceWaitMs : 0);
    this.#stepTimer = setTimeout(() => {
      this.#failed(`it was not ready after ${timeoutMs} ms`);
      this.kill();
    }, timeoutMs);
  }

  #heard(message: ToSupervisor): void {
    switch (message.kind) {
      case 'hello':
        return this.#greet(message.version);
      case 'built':
        return this.#built();
      case 'service-ready':
        return this.#owner.onServiceReady(message.service);
      case 'duty-ended':
        this.duties.delete(message.duty);
        return this.#owner.onDutyEnded(this, message.duty, message.how);
      case 'accepting':
        return this.#accepting(message.slot, message.addresses);
      case 'failed':
        return this.#failed(message.reason);
      case 'drained':
        return;
    }
  }

  #greet(version: number): void {
    if (version !== IPC_VERSION) {
      this.#failed(
        `it speaks version ${version} of the worker protocol, not ${IPC_VERSION}: another Sluice was installed since the start; run: sluice upgrade`,
      );
      return this.kill();
    }
    this.#send({
      kind: 'start',
      version: IPC_VERSION,
      slot: this.slot,
      metricsRow: this.metricsRow,
      readyServices: this.#readyServices,
    });
  }

  #built(): void {
    // A drain that was asked for meanwhile is on its way to the worker.
    if (this.#state !== 'starting') return;
    clearTimeout(this.#stepTimer);
    this.#state = 'built';
    this.#owner.onBuilt(this);
  }

  #accepting(slot: number, addresses: readonly BoundAddress[]): void {
    this.#loans.settle(slot);
    if (slot !== this.slot || this.#state !== 'opening') return;
    clearTimeout(this.#stepTimer);
    this.#state = 'ready';
    this.#log.info({ slot, workerPid: this.pid }, 'worker ready');
    this.#owner.onReady(this, addresses);
  }

  #failed(reason: string): void {
    this.#log.error({ slot: this.slot, workerPid: this.pid, reason }, 'worker cannot start');
    this.#owner.onFailed(this, reason);
  }

  #ended(how: string): void {
    this.#isGone = true;
    clearTimeout(this.#stepTimer);
    this.#owner.onGone(this, how);
  }

  /** What is sent to a worker whose channel is gone is moot: its end is about to be reported. */
  #send(message: ToWorker): void {
    if (this.#process.isConnected()) this.#process.send(message, undefined, undefined, () => {});
  }
}

function isMessage(message: unknown): message is ToSupervisor {
  return typeof message === 'object' && message !== null && 'kind' in message;
}

/**
 * The workers of one configuration: one for each slot, replaced when they die.
 *
 *   preparing → prepared → opening → serving → leaving → gone
 *
 * Until it serves, the failure of a single worker is the failure of the
 * generation. Nothing is accepted before all have built everything, so that a
 * generation that cannot start has had no connection to lose.
 */
import type { Worker as Process } from 'node:cluster';
import type { BoundAddress, Duty, ListenerGrant, SocketName } from '../../shared/ipc/messages.ts';
import type { Log } from '../../shared/log/log.ts';
import { afterDeath } from '../../shared/time/back-off.ts';
import type { PeerTable } from '../../shared/memory/peer-table.ts';
import { ProcessSlot } from '../../shared/metrics/layout.ts';
import type { Book, Ledger } from './ledger.ts';
import type { HealthLimits } from './watch.ts';
import { WorkerProcess, type ProcessOwner } from './worker-process.ts';

export type Phase = 'preparing' | 'prepared' | 'opening' | 'serving' | 'leaving' | 'gone';

export interface GenerationParts {
  /** From 1. */
  readonly number: number;
  readonly slots: number;
  /** Of the addresses that it listens on. */
  readonly keys: readonly string[];
  readonly duties: readonly Duty[];
  /** For a worker to build everything, and again to accept. */
  readonly stepTimeoutMs: number;
  /** So long a worker may wait for background services before it accepts. */
  readonly serviceWaitMs: number;
  readonly fork: () => Process;
  readonly grant: (slot: number) => ListenerGrant[];
  readonly healthLimits: HealthLimits;
  /** How a worker ends whose place is taken by the next one. */
  readonly renewal: Retirement;
  /** Where its workers count. */
  readonly book: Book;
  /** Where they count the requests that are under way to peers. */
  readonly peers: Pick<PeerTable, 'reap'>;
  /** Lets go what its forks have needed; called once, when it is gone. */
  readonly close: () => void;
  readonly log: Log;
}

/** The fleet that it belongs to. */
export interface GenerationOwner {
  readonly ledger: Ledger;
  readonly readyServices: readonly string[];
  /** A worker has become ready for something, or is gone. */
  onChange(): void;
  onServiceReady(service: string): void;
  /** A worker died and is replaced. */
  onRestart(): void;
}

/** How a generation is to end. */
export interface Retirement {
  /** Idle connections are left open so long. */
  readonly idleMs: number;
  /** Then what is left is cut. */
  readonly graceMs: number;
  /** Then workers that have not ended are killed. */
  readonly lateMs: number;
  /** Whether nobody accepts on the socket once its worker here is gone. */
  readonly isLast: (socket: SocketName) => boolean;
  /** Accepts on those so long, for handshakes that are under way. */
  readonly lastMs: number;
}

/** How long a worker that could not be renewed is left as it is. */
const FAILED_RENEWAL_MS = 60_000;

/** Before a fork that has failed is tried again. */
const LEAST_WAIT_MS = 100;

export class Generation implements ProcessOwner {
  readonly number: number;
  readonly slots: number;
  readonly duties: readonly Duty[];
  /** Tasks that need not run again under this configuration. */
  readonly doneDuties = new Set<Duty>();
  readonly #parts: GenerationParts;
  readonly #owner: GenerationOwner;
  readonly #log: Log;
  /** By slot. */
  readonly #members = new Map<number, WorkerProcess>();
  /** Started to take the place of a member that is well. */
  readonly #renewals = new Map<number, WorkerProcess>();
  /** Those that have been replaced, and finish what they have. */
  readonly #leaving = new Set<WorkerProcess>();
  readonly #youngDeaths = new Map<number, number>();
  readonly #waiting = new Map<number, NodeJS.Timeout>();
  readonly #ended = Promise.withResolvers<void>();
  #phase: Phase = 'preparing';
  #step: PromiseWithResolvers<void> | undefined;
  #addresses: readonly BoundAddress[] = [];
  /** On the clock of `performance.now`. */
  #noRenewalBefore = 0;

  constructor(parts: GenerationParts, owner: GenerationOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.number = parts.number;
    this.slots = parts.slots;
    this.duties = parts.duties;
    this.#log = parts.log.child({ generation: parts.number });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Where it listens; on every slot it is the same. */
  get addresses(): readonly BoundAddress[] {
    return this.#addresses;
  }

  /** All processes, also those that only finish what they have. */
  get workers(): readonly WorkerProcess[] {
    return [...this.#members.values(), ...this.#renewals.values(), ...this.#leaving];
  }

  member(slot: number): WorkerProcess | undefined {
    return this.#members.get(slot);
  }

  /**
   * Forks every slot. Resolves when all have built everything.
   *
   * @throws {Error} one could not; the reason is the worker's own
   */
  prepare(): Promise<void> {
    return this.#begin('preparing', (slot) => this.#members.set(slot, this.#fork(slot)));
  }

  /**
   * Resolves when all accept.
   *
   * @throws {Error} one does not
   */
  open(): Promise<void> {
    return this.#begin('opening', (slot) => {
      const worker = this.#members.get(slot);
      if (worker === undefined) throw new Error(`the worker of slot ${slot} died`);
      worker.accept(this.#parts.grant(slot));
    });
  }

  serviceReady(service: string): void {
    for (const worker of this.workers) worker.serviceReady(service);
  }

  reopenLogs(): void {
    for (const worker of this.workers) worker.reopenLogs();
  }

  /** Once a second: ends workers that are stuck, and renews those that are too big or too old. */
  watch(): void {
    // Also what workers of a supervisor had under way that was killed with them.
    this.#parts.peers.reap();
    for (const worker of this.workers) {
      if (worker.state !== 'ready' && worker.state !== 'draining') continue;
      const row = this.#parts.book.table.rowView(worker.metricsRow);
      const beats = row[ProcessSlot.beats]!;
      const residentBytes = row[ProcessSlot.residentBytes]!;
      const signs = { beats, residentBytes, livedMs: worker.livedMs };
      const health = worker.pulse.look(signs, this.#parts.healthLimits);
      if (health === 'stuck') this.#end(worker);
      else if (health !== 'well') this.#renew(worker, health, residentBytes);
    }
  }

  /** No more replacements; every worker finishes its requests. Resolves when the last one has gone. */
  retire(retirement: Retirement): Promise<void> {
    this.#leave();
    for (const worker of this.workers) this.#drain(worker, retirement);
    this.#killAfter(retirement.graceMs + retirement.lateMs);
    return this.#ended.promise;
  }

  /** Of a retirement: its time is over. */
  cut(lateMs: number): void {
    for (const worker of this.workers) worker.cut();
    this.#killAfter(lateMs);
  }

  /** Ends every worker at once, in the middle of whatever it does. */
  kill(): Promise<void> {
    this.#leave();
    for (const worker of this.workers) worker.kill();
    return this.#ended.promise;
  }

  // ── what workers say ──────────────────────────────────────────────────────

  onBuilt(worker: WorkerProcess): void {
    switch (this.#phase) {
      case 'preparing':
        if (this.#haveAll('built')) this.#completeStep('prepared');
        break;
      case 'serving':
        this.#letAccept(worker);
        break;
      case 'prepared':
      case 'opening':
      case 'leaving':
      case 'gone':
        break;
    }
    this.#owner.onChange();
  }

  onReady(worker: WorkerProcess, addresses: readonly BoundAddress[]): void {
    this.#addresses = addresses;
    if (this.#phase === 'opening' && this.#haveAll('ready')) this.#completeStep('serving');
    if (this.#renewals.get(worker.slot) === worker) this.#takePlace(worker);
    for (const other of this.workers) other.uncover(worker.slot);
    this.#coverOrphans();
    this.#owner.onChange();
  }

  onServiceReady(service: string): void {
    this.#owner.onServiceReady(service);
  }

  onDutyEnded(_worker: WorkerProcess, duty: Duty, how: 'done' | 'stopped'): void {
    if (how === 'done') this.doneDuties.add(duty);
    this.#owner.onChange();
  }

  onFailed(_worker: WorkerProcess, reason: string): void {
    this.#failStep(reason);
  }

  onGone(worker: WorkerProcess, how: string): void {
    this.#owner.ledger.end(this.#parts.book, worker.metricsRow);
    this.#parts.peers.reap();
    if (this.#members.get(worker.slot) === worker) this.#lost(worker, how);
    else if (this.#renewals.get(worker.slot) === worker) this.#renewalFailed(worker, how);
    else this.#leaving.delete(worker);
    this.#coverOrphans();
    this.#endIfEmpty();
    this.#owner.onChange();
  }

  // ── steps ─────────────────────────────────────────────────────────────────

  #begin(phase: 'preparing' | 'opening', act: (slot: number) => void): Promise<void> {
    this.#phase = phase;
    const step = (this.#step = Promise.withResolvers());
    try {
      for (let slot = 0; slot < this.slots; slot++) act(slot);
    } catch (thrown) {
      this.#failStep(messageOf(thrown));
    }
    return step.promise;
  }

  #completeStep(phase: 'prepared' | 'serving'): void {
    this.#phase = phase;
    this.#step?.resolve();
    this.#step = undefined;
  }

  #failStep(reason: string): void {
    this.#step?.reject(new Error(reason));
    this.#step = undefined;
  }

  #haveAll(state: 'built' | 'ready'): boolean {
    const members = [...this.#members.values()];
    return members.length === this.slots && members.every((worker) => worker.state === state);
  }

  // ── forks ─────────────────────────────────────────────────────────────────

  /** One that cannot be forked is one that died young: the system may have room for it later. */
  #forkMember(slot: number): void {
    try {
      this.#members.set(slot, this.#fork(slot));
    } catch (thrown) {
      const waitMs = this.#countDeath(slot, 0);
      this.#log.error({ slot, reason: messageOf(thrown), waitMs }, 'no worker can be started');
      this.#forkLater(slot, Math.max(waitMs, LEAST_WAIT_MS));
    }
  }

  #forkLater(slot: number, waitMs: number): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(slot);
      this.#forkMember(slot);
    }, waitMs);
    this.#waiting.set(slot, timer);
  }

  /** @returns how long to wait before the slot gets another worker */
  #countDeath(slot: number, livedMs: number): number {
    const { youngDeaths, waitMs } = afterDeath(this.#youngDeaths.get(slot) ?? 0, livedMs);
    this.#youngDeaths.set(slot, youngDeaths);
    return waitMs;
  }

  #fork(slot: number): WorkerProcess {
    const { fork, book, stepTimeoutMs, serviceWaitMs } = this.#parts;
    const metricsRow = this.#owner.ledger.claim(book);
    let process: Process;
    try {
      process = fork();
    } catch (thrown) {
      this.#owner.ledger.end(book, metricsRow);
      throw thrown;
    }
    this.#owner.ledger.assign(book, metricsRow, process.process.pid ?? 0);
    const { readyServices } = this.#owner;
    const log = this.#log;
    return new WorkerProcess({
      process,
      slot,
      metricsRow,
      stepTimeoutMs,
      serviceWaitMs,
      readyServices,
      owner: this,
      log,
    });
  }

  #lost(worker: WorkerProcess, how: string): void {
    this.#members.delete(worker.slot);
    switch (this.#phase) {
      case 'preparing':
      case 'prepared':
      case 'opening':
        return this.#failStep(
          worker.pid === undefined
            ? `a worker cannot be started: ${how}`
            : `worker ${worker.pid} ended before it was ready: ${how}`,
        );
      case 'serving':
        return this.#replace(worker, how);
      case 'leaving':
      case 'gone':
        return;
    }
  }

  #replace(worker: WorkerProcess, how: string): void {
    const { slot, pid: workerPid, livedMs } = worker;
    const waitMs = this.#countDeath(slot, livedMs);
    this.#owner.onRestart();
    const fields = { slot, workerPid, how, livedMs: Math.round(livedMs), waitMs };
    this.#log.error(fields, 'worker died; replacing it');
    const renewal = this.#renewals.get(slot);
    if (renewal !== undefined) {
      this.#renewals.delete(slot);
      this.#members.set(slot, renewal);
    } else if (waitMs === 0) {
      this.#forkMember(slot);
    } else {
      this.#forkLater(slot, waitMs);
    }
  }

  #letAccept(worker: WorkerProcess): void {
    try {
      worker.accept(this.#parts.grant(worker.slot));
    } catch (thrown) {
      const { slot, pid: workerPid } = worker;
      this.#log.error({ slot, workerPid, reason: messageOf(thrown) }, 'worker cannot accept');
      worker.kill();
    }
  }

  /** What waits in the queue of a slot without a worker is accepted by a neighbour until it has one. */
  #coverOrphans(): void {
    if (this.#phase !== 'serving') return;
    const ready = [...this.#members.values()].filter(({ state }) => state === 'ready');
    for (let slot = 0; slot < this.slots; slot++) {
      const isServed = this.#members.get(slot)?.state === 'ready';
      if (isServed || ready.some(({ covers }) => covers.has(slot))) continue;
      const [neighbour] = ready.sort((a, b) => a.covers.size - b.covers.size);
      if (neighbour !== undefined) this.#cover(slot, neighbour);
    }
  }

  #cover(slot: number, neighbour: WorkerProcess): void {
    try {
      neighbour.cover(slot, this.#parts.grant(slot));
    } catch (thrown) {
      this.#log.warn({ slot, reason: messageOf(thrown) }, 'nobody accepts for a slot for now');
    }
  }

  // ── renewal ───────────────────────────────────────────────────────────────

  #end(worker: WorkerProcess): void {
    const { slot, pid: workerPid } = worker;
    const { stuckAfterMs } = this.#parts.healthLimits;
    this.#log.error(
      { slot, workerPid, stuckAfterMs },
      'worker killed: its event loop does not turn',
    );
    worker.kill();
  }

  /** Replaces a worker that is well: the next one accepts before it stops. One at a time. */
  #renew(worker: WorkerProcess, why: 'big' | 'old', residentBytes: number): void {
    const { slot, pid: workerPid, livedMs } = worker;
    const isPossible = this.#phase === 'serving' && this.#renewals.size === 0;
    if (!isPossible || this.#members.get(slot) !== worker) return;
    if (performance.now() < this.#noRenewalBefore) return;
    const fields = { slot, workerPid, why, residentBytes, livedMs: Math.round(livedMs) };
    this.#log.info(fields, 'worker is renewed');
    try {
      this.#renewals.set(slot, this.#fork(slot));
    } catch (thrown) {
      this.#noRenewalBefore = performance.now() + FAILED_RENEWAL_MS;
      this.#log.error({ slot, reason: messageOf(thrown) }, 'worker not renewed');
    }
  }

  #takePlace(renewal: WorkerProcess): void {
    const { slot } = renewal;
    const old = this.#members.get(slot);
    this.#renewals.delete(slot);
    this.#members.set(slot, renewal);
    if (old === undefined) return;
    this.#leaving.add(old);
    const { graceMs, lateMs } = this.#parts.renewal;
    this.#drain(old, this.#parts.renewal);
    setTimeout(() => old.kill(), graceMs + lateMs).unref();
  }

  #renewalFailed({ slot, pid: workerPid }: WorkerProcess, how: string): void {
    this.#renewals.delete(slot);
    this.#noRenewalBefore = performance.now() + FAILED_RENEWAL_MS;
    this.#log.error({ slot, workerPid, how }, 'worker not renewed: the next one died');
  }

  // ── end ───────────────────────────────────────────────────────────────────

  #leave(): void {
    if (this.#phase !== 'gone') this.#phase = 'leaving';
    this.#failStep('it was given up');
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    this.#endIfEmpty();
  }

  #drain(worker: WorkerProcess, { idleMs, graceMs, isLast, lastMs }: Retirement): void {
    const slots = [worker.slot, ...worker.covers];
    const last = slots
      .flatMap((slot) => this.#parts.keys.map((key) => ({ slot, key })))
      .filter(isLast);
    worker.drain({ idleMs, graceMs, last, lastMs });
  }

  #killAfter(ms: number): void {
    const late = setTimeout(() => {
      for (const worker of this.workers) worker.kill();
    }, ms);
    void this.#ended.promise.then(() => clearTimeout(late));
  }

  #endIfEmpty(): void {
    if (this.#phase !== 'leaving' || this.workers.length > 0) return;
    this.#phase = 'gone';
    this.#parts.close();
    this.#ended.resolve();
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * All workers there are: the generation that serves, the next one while it comes
 * up, and older ones that finish what they have.
 */
import type { BoundAddress } from '../../shared/ipc/messages.ts';
import type { Log } from '../../shared/log/log.ts';
import { ProcessSlot } from '../../shared/metrics/layout.ts';
import { Duties } from './duties.ts';
import {
  Generation,
  type GenerationOwner,
  type GenerationParts,
  type Retirement,
} from './generation.ts';
import type { Ledger } from './ledger.ts';
import { LOOK_INTERVAL_MS } from './watch.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Each has as many processes as there are slots; more would cost memory that nobody has planned for. */
const MAX_LEAVING = 4;

export type SlotState = 'starting' | 'ready' | 'waiting' | 'draining';

export interface Slot {
  readonly number: number;
  readonly generation: number;
  readonly state: SlotState;
  readonly pid: number | undefined;
  /** In the table of the generation that serves; 0 for a worker that counts elsewhere. */
  readonly metricsRow: number;
}

export class Fleet implements GenerationOwner {
  readonly ledger: Ledger;
  /** Replacements of workers that died, since the start. */
  restarts = 0;
  readonly #log: Log;
  readonly #duties = new Duties();
  readonly #watch: NodeJS.Timeout;
  #last = 0;
  #serving: Generation | undefined;
  #next: Generation | undefined;
  /** Oldest first. */
  readonly #leaving = new Set<Generation>();

  constructor(ledger: Ledger, log: Log) {
    this.ledger = ledger;
    this.#log = log;
    this.#watch = setInterval(() => {
      for (const generation of this.#generations) generation.watch();
      this.ledger.reap();
    }, LOOK_INTERVAL_MS);
  }

  /** The one that serves. */
  get serving(): Generation | undefined {
    return this.#serving;
  }

  get addresses(): readonly BoundAddress[] {
    return this.#serving?.addresses ?? [];
  }

  get readyServices(): readonly string[] {
    return this.#duties.readyServices;
  }

  /** Those of the generation that serves in order, then those that leave. */
  get slots(): readonly Slot[] {
    const serving = this.#serving ?? this.#next;
    if (serving === undefined) return [];
    const current = Array.from({ length: serving.slots }, (_, number): Slot => {
      const member = serving.member(number);
      const generation = serving.number;
      if (member === undefined)
        return { number, generation, state: 'waiting', pid: undefined, metricsRow: 0 };
      return slotOf(member, generation, member.metricsRow);
    });
    const others = this.#generations.flatMap((generation) =>
      generation.workers
        .filter((worker) => generation !== serving || worker !== serving.member(worker.slot))
        .map((worker) => slotOf(worker, generation.number, 0)),
    );
    return [...current, ...others];
  }

  /**
   * Forks the workers of a generation. Resolves when all have built everything.
   *
   * @throws {Error} one could not; then it is gone
   */
  async prepare(parts: Omit<GenerationParts, 'number' | 'log'>): Promise<Generation> {
    const next = new Generation({ ...parts, number: ++this.#last, log: this.#log }, this);
    this.#next = next;
    try {
      await next.prepare();
      return next;
    } catch (thrown) {
      await this.giveUp(next);
      throw thrown;
    }
  }

  /** One that has accepted nothing yet. */
  async giveUp(generation: Generation): Promise<void> {
    if (this.#next === generation) this.#next = undefined;
    await generation.kill();
  }

  /**
   * That generation serves from now on.
   *
   * @param retirement of the one before; absent for the first one
   */
  turnTo(generation: Generation, retirement: Retirement | undefined): void {
    const before = this.#serving;
    this.#serving = generation;
    this.#next = undefined;
    if (before !== undefined && retirement !== undefined) void this.retire(before, retirement);
    this.onChange();
  }

  /** Lets a generation finish what it has; resolves when it is gone. */
  async retire(generation: Generation, retirement: Retirement): Promise<void> {
    if (this.#next === generation) this.#next = undefined;
    this.#leaving.add(generation);
    this.#bound(retirement.lateMs);
    await generation.retire(retirement);
    this.#leaving.delete(generation);
  }

  reopenLogs(): void {
    for (const generation of this.#generations) generation.reopenLogs();
  }

  /** No more replacements; every worker finishes its requests. Resolves when the last one has gone. */
  async drain(retirement: Retirement): Promise<void> {
    await Promise.all(this.#generations.map((generation) => generation.retire(retirement)));
    clearInterval(this.#watch);
  }

  /** Ends every worker at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    await Promise.all(this.#generations.map((generation) => generation.kill()));
    clearInterval(this.#watch);
  }

  onChange(): void {
    const everybody = this.#generations.flatMap(({ workers }) => workers);
    // The next one comes last: what the one that serves has is taken over when it stops.
    for (const generation of [this.#serving, this.#next]) {
      if (generation === undefined || generation.phase === 'leaving') continue;
      const { duties, doneDuties, workers } = generation;
      this.#duties.assign(duties, doneDuties, workers, everybody);
    }
  }

  onServiceReady(service: string): void {
    if (!this.#duties.markReady(service)) return;
    for (const generation of this.#generations) generation.serviceReady(service);
  }

  onRestart(): void {
    this.restarts += 1;
    // There for workers that show the metrics page.
    this.ledger.add(ProcessSlot.restarts, 1);
  }

  get #generations(): readonly Generation[] {
    const newest = [this.#serving, this.#next].filter((each) => each !== undefined);
    return [...new Set([...newest, ...this.#leaving])];
  }

  #bound(lateMs: number): void {
    const tooMany = this.#leaving.size - MAX_LEAVING;
    for (const generation of [...this.#leaving].slice(0, Math.max(0, tooMany))) {
      const { number } = generation;
      this.#log.warn(
        { generation: number, most: MAX_LEAVING },
        'too many generations of workers are leaving; the oldest one is cut',
      );
      generation.cut(lateMs);
    }
  }
}

function slotOf(worker: WorkerProcess, generation: number, metricsRow: number): Slot {
  const { slot: number, pid } = worker;
  return { number, generation, state: stateOf(worker), pid, metricsRow };
}

function stateOf({ state }: WorkerProcess): SlotState {
  return state === 'built' || state === 'opening' ? 'starting' : state;
}

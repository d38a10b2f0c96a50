/**
 * Who has which duty. A duty is work that one worker does for the whole host; it
 * goes to another when its holder ends or stops doing it. Across generations too:
 * a new one takes over what the old one has stopped, never before.
 */
import type { Duty } from '../../shared/ipc/messages.ts';
import type { WorkerProcess } from './worker-process.ts';

export class Duties {
  /** Once a service is ready, it counts as ready for generations to come as well. */
  readonly #readyServices = new Set<string>();

  get readyServices(): readonly string[] {
    return [...this.#readyServices];
  }

  /** @returns whether that is news */
  markReady(service: string): boolean {
    if (this.#readyServices.has(service)) return false;
    this.#readyServices.add(service);
    return true;
  }

  /**
   * Gives each duty that nobody has to whom has the fewest.
   *
   * @param done need not be done again
   * @param everybody of all generations
   */
  assign(
    duties: readonly Duty[],
    done: ReadonlySet<Duty>,
    candidates: readonly WorkerProcess[],
    everybody: readonly WorkerProcess[],
  ): void {
    for (const duty of duties) {
      if (done.has(duty) || everybody.some((worker) => worker.duties.has(duty))) continue;
      const [taker] = candidates.filter(canTake).sort((a, b) => a.duties.size - b.duties.size);
      taker?.take(duty);
    }
  }
}

function canTake({ state }: WorkerProcess): boolean {
  return state === 'built' || state === 'opening' || state === 'ready';
}

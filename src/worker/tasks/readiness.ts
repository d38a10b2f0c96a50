/** Which services are ready, as far as this worker knows, and who waits for them. */
import type { Time } from '../../shared/time/time.ts';
import type { Dependency } from './task.ts';

export class Readiness {
  readonly #time: Time;
  readonly #ready = new Set<string>();
  /** One entry for each dependency that is not ready: a program has so many. */
  readonly #waiting = new Set<Waiter>();

  constructor(time: Time, ready: readonly string[] = []) {
    this.#time = time;
    for (const service of ready) this.#ready.add(service);
  }

  mark(service: string): void {
    this.#ready.add(service);
    for (const waiter of this.#waiting) {
      if (waiter.service === service) waiter.go();
    }
  }

  /**
   * @param who waits; for the error
   * @throws {Error} one was not ready in time
   * @throws the reason of the signal, once that is aborted
   */
  async wait(who: string, after: readonly Dependency[], signal: AbortSignal): Promise<void> {
    await Promise.all(after.map((dependency) => this.#waitFor(who, dependency, signal)));
  }

  #waitFor(who: string, { service, withinMs }: Dependency, signal: AbortSignal): Promise<void> {
    if (this.#ready.has(service)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#waiting.delete(waiter);
        cancel();
        signal.removeEventListener('abort', giveUp);
        settle();
      };
      const giveUp = () => end(() => reject(signal.reason as Error));
      const tooLate = () =>
        end(() =>
          reject(
            new Error(
              `service "${who}" depends on "${service}", which was not ready within ${withinMs} ms`,
            ),
          ),
        );
      const waiter: Waiter = { service, go: () => end(resolve) };
      const cancel = this.#time.after(withinMs, tooLate);
      this.#waiting.add(waiter);
      signal.addEventListener('abort', giveUp);
      if (signal.aborted) giveUp();
    });
  }
}

interface Waiter {
  readonly service: string;
  go(): void;
}

/**
 * Runs the task of a background service, in the one worker that has the duty:
 *
 *   wait for what it depends on → run → done
 *   it throws, or waited in vain: a line in the log, a pause, and from the beginning
 *   the worker drains: aborted, and stopped once it has ended
 */
import type { Log } from '../../shared/log/log.ts';
import { afterDeath } from '../../shared/time/back-off.ts';
import type { Time } from '../../shared/time/time.ts';
import type { Readiness } from './readiness.ts';
import type { Dependency, Task } from './task.ts';

/** A background service as its program built it. */
export interface WorkerTask {
  readonly name: string;
  readonly task: Task;
  readonly after: readonly Dependency[];
}

export interface TaskParts extends WorkerTask {
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly readiness: Readiness;
  readonly time: Time;
  readonly log: Log;
  /** At most once. */
  readonly onReady: () => void;
}

export class BackgroundTask {
  readonly #parts: TaskParts;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #isReady = false;
  #ended: Promise<'done' | 'stopped'> | undefined;

  constructor(parts: TaskParts) {
    this.#parts = parts;
    this.#log = parts.log.child({ service: parts.name });
  }

  /** Begins. Resolves, and never rejects, when the task has ended for good. */
  run(): Promise<'done' | 'stopped'> {
    this.#ended ??= this.#runUntilDone();
    return this.#ended;
  }

  /** Tells the task to come to an end; resolves when it has. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the worker is draining'));
    await this.#ended;
  }

  async #runUntilDone(): Promise<'done' | 'stopped'> {
    const { signal } = this.#stopping;
    const { time } = this.#parts;
    let youngDeaths = 0;
    while (!signal.aborted) {
      const startedAt = time.now();
      try {
        await this.#runOnce(signal);
        this.#ready();
        if (!signal.aborted) return 'done';
      } catch (thrown) {
        // Its way to say that it has noticed the signal.
        if (signal.aborted) break;
        const after = afterDeath(youngDeaths, time.now() - startedAt);
        youngDeaths = after.youngDeaths;
        this.#log.error({ err: thrown, waitMs: after.waitMs }, 'task failed; starting it again');
        await pause(after.waitMs, time, signal);
      }
    }
    return 'stopped';
  }

  async #runOnce(signal: AbortSignal): Promise<void> {
    const { name, task, after, readiness, configuration } = this.#parts;
    await readiness.wait(name, after, signal);
    await task({ signal, ready: () => this.#ready(), log: this.#log, configuration });
  }

  #ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#log.debug({}, 'service ready');
    this.#parts.onReady();
  }
}

/** Ends early with the signal. */
function pause(ms: number, time: Time, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = time.after(ms, end);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

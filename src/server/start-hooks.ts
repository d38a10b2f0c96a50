/** What a program wants done once, when everything serves: `Server.onStart`. */
import type { BoundAddress } from '../shared/ipc/messages.ts';
import { StartupError } from '../supervisor/startup-error.ts';

/** What a start hook is told. */
export interface Started {
  /** Where the services can be reached; ports that the system has chosen are real here. */
  readonly addresses: readonly BoundAddress[];
}

export type StartHook = (started: Started) => void | Promise<void>;

/** For all hooks together. Requests are served meanwhile, but nobody is told yet that they are. */
const TIMEOUT_MS = 30_000;

/**
 * One after the other, in the order in which they were added.
 *
 * @throws {StartupError} one has thrown, or they did not end in time
 */
export async function runStartHooks(hooks: readonly StartHook[], started: Started): Promise<void> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new StartupError(`onStart: it did not end within ${TIMEOUT_MS} ms`));
  }, TIMEOUT_MS);
  try {
    await Promise.race([runAll(hooks, started), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

async function runAll(hooks: readonly StartHook[], started: Started): Promise<void> {
  try {
    for (const hook of hooks) await hook(started);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new StartupError(`onStart: ${message}`, { cause: thrown });
  }
}

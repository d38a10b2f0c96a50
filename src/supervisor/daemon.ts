/** `-d`: the process that was called starts the one that stays, and ends when that is ready. */
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Settings } from '../shared/config/settings.ts';
import { openLogFile } from '../shared/log/log-file.ts';
import { launch } from './launch.ts';
import { StartupError } from './startup-error.ts';

/** Files of a daemon are not for everybody, whatever the shell that started it says. */
const UMASK = 0o027;

/**
 * Returns once it serves, or waits for a hand-off.
 *
 * @param args of this process
 * @throws {StartupError} it could not start; the message is its own
 */
export async function startDaemon(settings: Settings, args: readonly string[]): Promise<void> {
  const { daemon_wait_for_ready: wait, daemon_ready_timeout_seconds: seconds } = settings;
  const output = openOutput(settings);
  const abort = new AbortController();
  // The daemon has left our session, so a Ctrl-C reaches us alone.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
  try {
    const launched = launch({
      args,
      output,
      timeoutMs: seconds * 1_000,
      abort: abort.signal,
    });
    if (!wait) return;
    const outcome = await launched;
    if (outcome.kind === 'failed') throw new StartupError(outcome.reason);
  } finally {
    if (typeof output === 'number') closeSync(output);
  }
}

/** In the daemon, before it opens anything. */
export function settleAsDaemon(): void {
  process.umask(UMASK);
}

function openOutput({ error_log, working_directory = '' }: Settings): number | 'ignore' {
  if (error_log === undefined) return 'ignore';
  const path = resolve(working_directory, error_log);
  try {
    return openLogFile(path);
  } catch (thrown) {
    throw new StartupError(`cannot write error_log ${path}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

/**
 * `sluice prove-upgrade`: does Sluice lose anything when it is upgraded,
 * reloaded, or when a worker dies?
 *
 * The proof and everything that it starts run in one session of their own:
 *
 * - Ctrl-C is for the process at the terminal alone. The proof still has to count
 *   and to clean up, and Sluice must not hear of it at all.
 * - Linux can share the processor fairly between sessions, however much each of
 *   them does (sched_autogroup). With one for each Sluice, the clients would wait
 *   for whole generations that start, and would take that for Sluice's gaps.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ProveFailure } from './failure.ts';
import { readOptions } from './options.ts';
import type { SessionCall } from './session.ts';

/**
 * @param args what follows `prove-upgrade`
 * @param command runs `sluice`, without arguments
 * @param abort ends what was started, and then the proof
 * @returns exit code: 0 if nothing was lost
 */
export async function proveUpgrade(
  args: readonly string[],
  command: readonly string[],
  abort: AbortSignal,
): Promise<number> {
  try {
    const invocation = readOptions(args);
    if (invocation.kind === 'run')
      return await inOwnSession({ options: invocation.options, command }, abort);
    process.stdout.write(`${invocation.text}\n`);
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof ProveFailure)) throw thrown;
    process.stderr.write(`sluice prove-upgrade: ${thrown.message}\n`);
    return 1;
  }
}

async function inOwnSession(call: SessionCall, abort: AbortSignal): Promise<number> {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const entry = fileURLToPath(new URL(`session${extension}`, import.meta.url));
  // Through the channel it hears of our end, whatever that is.
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
  const session = spawn(process.execPath, [...process.execArgv, entry, JSON.stringify(call)], {
    stdio: [...stdio],
    detached: true,
  });
  const leave = () => void session.kill('SIGTERM');
  abort.addEventListener('abort', leave, { once: true });
  if (abort.aborted) leave();
  try {
    return await exitCodeOf(session);
  } finally {
    abort.removeEventListener('abort', leave);
  }
}

function exitCodeOf(session: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    session.once('error', ({ message }) =>
      reject(new ProveFailure(`cannot start a process for the proof: ${message}`)),
    );
    session.once('exit', (code, signal) => {
      if (code === null) reject(new ProveFailure(`the proof was ended by ${signal}`));
      else resolve(code);
    });
  });
}

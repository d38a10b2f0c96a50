/** The file that tells operators and service managers which process to signal. */
import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { StartupError } from './startup-error.ts';

/**
 * Written whole under another name and then renamed, so that nobody ever reads
 * half a number.
 *
 * @throws {StartupError} the file cannot be written, or names another live process
 */
export function writePidFile(path: string): void {
  const owner = livingOwner(path);
  if (owner !== undefined) {
    throw new StartupError(
      `pid_file ${path} belongs to process ${owner}, which is running; stop it, or name another file`,
    );
  }
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, `${process.pid}\n`, { mode: 0o644 });
    renameSync(draft, path);
  } catch (thrown) {
    throw new StartupError(`cannot write pid_file ${path}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

/** Only if it is still ours: a successor may have taken it over. */
export function removePidFile(path: string): void {
  try {
    if (readPid(path) === process.pid) unlinkSync(path);
  } catch {
    // It is gone already, or out of reach; there is nobody left to tell.
  }
}

function livingOwner(path: string): number | undefined {
  let pid: number;
  try {
    pid = readPid(path);
  } catch {
    return undefined;
  }
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (thrown) {
    // EPERM: it lives, but belongs to somebody else.
    return (thrown as NodeJS.ErrnoException).code === 'EPERM' ? pid : undefined;
  }
}

function readPid(path: string): number {
  return Number(readFileSync(path, 'utf8').trim());
}

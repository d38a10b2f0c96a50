/** Makes log files usable for whom we run as, while we still are root. */
import { closeSync, fchownSync, fstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { openLogFile } from '../shared/log/log-file.ts';
import { StartupError } from './startup-error.ts';
import type { Identity } from './privileges.ts';

/** @throws {StartupError} one of them cannot be opened */
export function giveLogFiles(paths: readonly string[], { uid, gid }: Identity): void {
  if (process.geteuid?.() !== 0 || uid === 0) return;
  for (const path of new Set(paths.map((each) => resolve(each)))) {
    try {
      give(path, uid, gid);
    } catch (thrown) {
      throw new StartupError(`cannot write ${path}: ${(thrown as Error).message}`, {
        cause: thrown,
      });
    }
  }
}

function give(path: string, uid: number, gid: number): void {
  const fd = openIfRead(path);
  if (fd === undefined) return;
  try {
    const stats = fstatSync(fd);
    // Of anybody else's, or under a second name, it is no log file that we made.
    if (stats.isFile() && stats.uid === 0 && stats.nlink === 1) fchownSync(fd, uid, gid);
  } finally {
    closeSync(fd);
  }
}

/** Undefined for a pipe that nobody reads yet. */
function openIfRead(path: string): number | undefined {
  try {
    return openLogFile(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENXIO') return undefined;
    throw thrown;
  }
}

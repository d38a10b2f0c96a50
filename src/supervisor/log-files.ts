/** Makes log files usable for whom we run as, while we still are root. */
import { closeSync, constants, fchownSync, fstatSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { StartupError } from './startup-error.ts';
import type { Identity } from './privileges.ts';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY, O_NONBLOCK } = constants;

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
  const fd = openForAppending(path);
  if (fd === undefined) return;
  try {
    const { uid: owner, nlink } = fstatSync(fd);
    // Of anybody else's, or under a second name, it is no log file that we made.
    if (owner === 0 && nlink === 1) fchownSync(fd, uid, gid);
  } finally {
    closeSync(fd);
  }
}

/** Only a regular file under its own name: a link in a folder of theirs could lead anywhere. */
function openForAppending(path: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY | O_NONBLOCK, 0o640);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ELOOP' || code === 'ENXIO') return undefined;
    throw thrown;
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return undefined;
}

/**
 * The file that tells operators and service managers which process to signal.
 *
 * Its content is the number alone, as `kill $(cat FILE)` needs it. Its date says
 * which process of that number is meant: it is when that one was started, counted
 * from the boot of the machine, as if that had been in 1970. The wall clock would not do: it
 * is often set after the start, and a file of before would look older than its process.
 *
 * It appears whole under its name, so that nobody reads half a number, and by a
 * call that fails if somebody else was faster. Its owner removes it; an upgrade
 * gives it a new owner.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isAt, withoutForeignLinks } from '../shared/root-path.ts';
import { isAlive, startTicks, TICKS_PER_SECOND } from '../shared/process/process-age.ts';
import { StartupError } from './startup-error.ts';

/** Thirty years of uptime. Later dates are of the wall clock: whoever wrote the file left no word. */
const LATEST_START_MS = Date.UTC(2000, 0);

/**
 * @param owner user that we will run as, who must be able to remove it
 * @throws {StartupError} the file cannot be written, or names another process that runs
 */
export function writePidFile(name: string, owner = process.getuid?.()): void {
  explained(name, () => {
    const path = placeOf(name);
    removeStale(path);
    withDraft(path, owner, (draft) => {
      try {
        linkSync(draft, path);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
        throw belongsTo(path, readPid(path));
      }
    });
    const written = readPid(path);
    if (written !== process.pid) throw belongsTo(path, written);
  });
}

/**
 * At an upgrade: from the predecessor, who goes on until this has returned. By
 * now we may not be root any more, and the folder not ours: then the number is
 * written over the old one, in a file that was ours from the start.
 *
 * @throws {StartupError} it cannot be written, or belongs to a third process
 */
export function takeOverPidFile(name: string, predecessor: number): void {
  explained(name, () => {
    const path = placeOf(name);
    const owner = livingOwner(path);
    if (owner !== undefined && owner !== predecessor) throw belongsTo(path, owner);
    // Where a hand-off failed, the other one may not have got so far.
    if (owner === undefined && names(path, process.pid)) return;
    try {
      withDraft(path, undefined, (draft) => renameSync(draft, path));
    } catch (thrown) {
      if (!isForbidden(thrown)) throw thrown;
      overwrite(path);
    }
  });
}

/** Only if it is still ours: a successor may have taken it over. */
export function removePidFile(path: string): void {
  try {
    if (readPid(path) !== process.pid) return;
    try {
      unlinkSync(path);
    } catch (thrown) {
      // In a folder of root's: an empty file names nobody, and the next start replaces it.
      if (isForbidden(thrown)) truncateSync(path);
    }
  } catch {
    // It is gone already, or out of reach; there is nobody left to tell.
  }
}

/** The folder that it says may be a link of root's. */
function placeOf(path: string): string {
  if (process.geteuid?.() !== 0) return path;
  return join(withoutForeignLinks(dirname(path)), basename(path));
}

function withDraft(path: string, owner: number | undefined, use: (draft: string) => void): void {
  const draft = `${path}.${process.pid}`;
  // Of a process that had our number and died here.
  removeIfThere(draft);
  // By its descriptor from now on: in a folder of somebody else's the name could come to mean another file.
  const fd = openSync(draft, 'wx', 0o644);
  try {
    if (process.geteuid?.() === 0 && !isAt(fd, draft))
      throw new Error('its folder was moved meanwhile; look at who else uses the one above');
    writeSync(fd, `${process.pid}\n`);
    // Whatever the umask of whoever started us.
    fchmodSync(fd, 0o644);
    if (owner !== undefined && process.geteuid?.() === 0) fchownSync(fd, owner, -1);
    dateByOurStart(fd);
    use(draft);
  } finally {
    closeSync(fd);
    removeIfThere(draft);
  }
}

function overwrite(path: string): void {
  const fd = openSync(path, 'w');
  try {
    writeSync(fd, `${process.pid}\n`);
    dateByOurStart(fd);
  } finally {
    closeSync(fd);
  }
}

/** Where that cannot be, the file keeps a date of the wall clock, and its number is believed. */
function dateByOurStart(fd: number): void {
  const ticks = startTicks(process.pid);
  if (ticks === undefined) return;
  const usual = new Date();
  try {
    futimesSync(fd, usual, ticks / TICKS_PER_SECOND);
    // Some file systems keep whole seconds.
    if (startTicksIn(fstatSync(fd).mtimeMs) !== ticks) futimesSync(fd, usual, usual);
  } catch (thrown) {
    if (!isForbidden(thrown)) throw thrown;
  }
}

/** Of the process that a file of that date was written by; undefined if it does not say. */
function startTicksIn(mtimeMs: number): number | undefined {
  if (mtimeMs >= LATEST_START_MS) return undefined;
  return Math.round((mtimeMs / 1_000) * TICKS_PER_SECOND);
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
}

/** Moved away first: if somebody was faster, what we have moved is theirs, and goes back. */
function removeStale(path: string): void {
  const owner = livingOwner(path);
  if (owner !== undefined) throw belongsTo(path, owner);
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw thrown;
  }
  const moved = livingOwner(aside);
  if (moved !== undefined) {
    renameSync(aside, path);
    throw belongsTo(path, moved);
  }
  unlinkSync(aside);
}

function livingOwner(path: string): number | undefined {
  let pid: number;
  let ofStart: number | undefined;
  try {
    pid = readPid(path);
    ofStart = startTicksIn(statSync(path).mtimeMs);
  } catch {
    return undefined;
  }
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid || !isAlive(pid)) return undefined;
  // Started at another time than the writer: that one is dead, and its number has gone to another program.
  const ticks = startTicks(pid);
  const isAnother = ofStart !== undefined && ticks !== undefined && ticks !== ofStart;
  return isAnother ? undefined : pid;
}

function names(path: string, pid: number): boolean {
  try {
    return readPid(path) === pid;
  } catch {
    return false;
  }
}

function readPid(path: string): number {
  return Number(readFileSync(path, 'utf8').trim());
}

function explained(path: string, step: () => void): void {
  try {
    step();
  } catch (thrown) {
    if (thrown instanceof StartupError) throw thrown;
    throw new StartupError(`cannot write pid_file ${path}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

function belongsTo(path: string, owner: number): StartupError {
  return new StartupError(
    `pid_file ${path} belongs to process ${owner}, which is running; stop it, or name another file, or remove the file if that process is no Sluice`,
  );
}

function isForbidden(thrown: unknown): boolean {
  const { code = '' } = thrown as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
}

/**
 * A log file, open for appending.
 *
 * Whoever may write to the folder of a log can put a link in the log's place. If
 * root followed it, lines that clients have a say in would go into any file of
 * the machine; so root follows no link but its own.
 */
import { closeSync, constants, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

/** For others, a log is nothing to read. */
const MODE = 0o640;

/** As Linux itself. */
const MAX_LINKS = 40;

/** @throws {Error} it cannot be opened, or root would have to follow somebody else's link */
export function openLogFile(path: string): number {
  if (process.geteuid?.() !== 0) return openSync(path, 'a', MODE);
  const real = withoutLinks(path);
  if (isOfTheKernel(real)) return openSync(real, 'a', MODE);
  // Not to wait for somebody who reads, should it be a pipe.
  const fd = openSync(real, O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_WRONLY, MODE);
  if (isAt(fd, real)) return fd;
  closeSync(fd);
  throw new Error(`${path} was moved while it was opened; look at who else uses its folder`);
}

/** The file that a path leads to; it need not exist. */
function withoutLinks(path: string): string {
  const left = partsOf(resolve(path));
  let at = '/';
  for (let links = 0; left.length > 0;) {
    const next = join(at, left.shift()!);
    const stats = lstatSync(next, { throwIfNoEntry: false });
    // What is missing is for `open` to say, or to make.
    if (stats === undefined || isOfTheKernel(next)) return join(next, ...left);
    if (!stats.isSymbolicLink()) {
      at = next;
      continue;
    }
    refuseForeign(next, stats);
    if (++links > MAX_LINKS) throw new Error(`${path}: more than ${MAX_LINKS} symbolic links`);
    const target = resolve(dirname(next), readlinkSync(next));
    left.unshift(...partsOf(target));
    at = '/';
  }
  return at;
}

function refuseForeign(link: string, { uid }: Stats): void {
  if (uid === 0) return;
  throw new Error(
    `${link} is a symbolic link of user ${uid}, and root follows only its own; name the file itself, or remove the link`,
  );
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

/** Such as `/dev/stderr`: its links lead to what has no path. */
function isOfTheKernel(path: string): boolean {
  return path === '/proc' || path.startsWith('/proc/');
}

/** Whether nobody has put a link into the path since it was looked at. */
function isAt(fd: number, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === path;
  } catch {
    return true; // there is no /proc to ask
  }
}

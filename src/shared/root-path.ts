/**
 * Where a path leads to that root is to write to: in a folder of somebody else's, a
 * link could lead anywhere, so root follows no link but its own.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** As Linux itself. */
const MAX_LINKS = 40;

/**
 * The file that a path leads to; it need not exist.
 *
 * @throws {Error} a link on the way is not root's
 */
export function withoutForeignLinks(path: string): string {
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
export function isOfTheKernel(path: string): boolean {
  return path === '/proc' || path.startsWith('/proc/');
}

/** Whether nobody has put a link into the path since it was looked at. */
export function isAt(fd: number, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === path;
  } catch {
    return true; // there is no /proc to ask
  }
}

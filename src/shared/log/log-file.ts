/**
 * A log file, open for appending.
 *
 * Whoever may write to the folder of a log can put a link in the log's place. If
 * root followed it, lines that clients have a say in would go into any file of
 * the machine; so root follows no link but its own.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { isAt, isOfTheKernel, withoutForeignLinks } from '../root-path.ts';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

/** For others, a log is nothing to read. */
const MODE = 0o640;

/** @throws {Error} it cannot be opened, or root would have to follow somebody else's link */
export function openLogFile(path: string): number {
  if (process.geteuid?.() !== 0) return openSync(path, 'a', MODE);
  const real = withoutForeignLinks(path);
  if (isOfTheKernel(real)) return openSync(real, 'a', MODE);
  // Not to wait for somebody who reads, should it be a pipe.
  const fd = openSync(real, O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_WRONLY, MODE);
  if (isAt(fd, real)) return fd;
  closeSync(fd);
  throw new Error(`${path} was moved while it was opened; look at who else uses its folder`);
}

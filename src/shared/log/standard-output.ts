/** The standard output and error of a daemon, which go to its error log. */
import { closeSync, openSync } from 'node:fs';
import type { Libc } from '../memory/libc.ts';

/** Gives them a file, after somebody renamed the one they had. */
export function redirectStandardOutput(path: string, libc: Libc): void {
  const fd = openSync(path, 'a', 0o640);
  try {
    for (const standard of [1, 2]) libc.dup2(fd, standard);
  } finally {
    closeSync(fd);
  }
}

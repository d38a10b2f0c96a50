/** The standard output and error of a daemon, which go to its error log. */
import { closeSync } from 'node:fs';
import type { Libc } from '../memory/libc.ts';
import { openLogFile } from './log-file.ts';

/** Gives them a file, after somebody renamed the one they had. */
export function redirectStandardOutput(path: string, libc: Libc): void {
  const fd = openLogFile(path);
  try {
    for (const standard of [1, 2]) libc.dup2(fd, standard);
  } finally {
    closeSync(fd);
  }
}

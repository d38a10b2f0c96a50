/** The limit on open files that the system has set for this process. */
import { readFileSync } from 'node:fs';

/** Where the limit cannot be read; below what systems usually allow. */
const ASSUMED_LIMIT = 4_096;

/** Soft limit (RLIMIT_NOFILE). */
export function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(
      readFileSync('/proc/self/limits', 'utf8'),
    ) ?? [undefined, undefined];
    return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft ?? ASSUMED_LIMIT);
  } catch {
    return ASSUMED_LIMIT;
  }
}

/** The message of a call that has failed, with what to do if this process may open no more files. */
export function explainSystemError({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EMFILE':
      return `${message}; raise the limit on open files (ulimit -n, or LimitNOFILE= of the service)`;
    case 'ENFILE':
      return `${message}; raise the limit on open files of the machine (sysctl fs.file-max)`;
    default:
      return message;
  }
}

/**
 * Descriptors that the service manager has opened for us, or kept for us
 * (sd_listen_fds(3)): they are numbered from 3 on.
 */
import type { Libc } from '../../shared/memory/libc.ts';

export interface PassedDescriptor {
  /** Of the socket unit, or what we stored it under. */
  readonly name: string;
  readonly fd: number;
}

const FIRST = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'] as const;

/** Once per process: afterwards nothing says any more that there were some, also to those that we start. */
export function takePassedDescriptors(libc: Libc): PassedDescriptor[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = process.env;
  for (const name of VARIABLES) delete process.env[name];
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== process.pid || !Number.isSafeInteger(count) || count < 1) return [];
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: count }, (_, at) => {
    // The given ones would stay open in everything that we start.
    const fd = libc.dup(FIRST + at);
    libc.close(FIRST + at);
    return { name: names[at] ?? '', fd };
  });
}

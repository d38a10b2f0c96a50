/** Whether a process runs, and since when, as Linux tells it under `/proc`. */
import { readFileSync } from 'node:fs';

/** Of `/proc/PID/stat`; the same on every Linux. */
const TICKS_PER_SECOND = 100;
const START_TIME_FIELD = 22;

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    // EPERM: it lives, but belongs to somebody else.
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Milliseconds since 1970; undefined where the system does not tell. */
export function startedAt(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets, which may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[START_TIME_FIELD - 3]);
    const boot = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'));
    return (Number(boot?.[1]) + ticks / TICKS_PER_SECOND) * 1_000;
  } catch {
    return undefined;
  }
}

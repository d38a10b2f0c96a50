/** Whether a process runs, and since when, as Linux tells it under `/proc`. */
import { readFileSync } from 'node:fs';

/** Of `/proc/PID/stat`, the same on every Linux. */
export const TICKS_PER_SECOND = 100;

const FIRST_FIELD = 3;
const STATE_FIELD = 3;
const START_TIME_FIELD = 22;

/** One that has ended but that its parent has not taken notice of is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    // EPERM: it lives, but belongs to somebody else.
    if ((thrown as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return statOf(pid)?.[STATE_FIELD - FIRST_FIELD] !== 'Z';
}

/**
 * Hundredths of a second from the boot of the machine to the start of the process: the
 * wall clock has no say in it. Undefined where the system does not tell.
 */
export function startTicks(pid: number): number | undefined {
  const ticks = Number(statOf(pid)?.[START_TIME_FIELD - FIRST_FIELD]);
  return Number.isNaN(ticks) ? undefined : ticks;
}

/** A process of this host: its number is given to another one in time, so when it began belongs to it. */
export interface ProcessId {
  readonly pid: number;
  /** 32 bits of its `startTicks`; 0 where the system does not tell. */
  readonly since: number;
}

export function processId(pid: number): ProcessId {
  return { pid, since: (startTicks(pid) ?? 0) | 0 };
}

/** That process runs, and not another one that got its number. */
export function isRunning({ pid, since }: ProcessId): boolean {
  if (!isAlive(pid)) return false;
  const now = processId(pid).since;
  return now === since || now === 0 || since === 0;
}

/** From the third field on; the second is the program's name in brackets, which may contain anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

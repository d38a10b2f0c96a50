/** Whether a process runs, and since when, as Linux tells it under `/proc`. */
import { readFileSync } from 'node:fs';

/** Of `/proc/PID/stat`; the same on every Linux. */
const TICKS_PER_SECOND = 100;
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

/** A process of this host: numbers are given to another one in time, so when it began belongs to it. */
export interface ProcessId {
  readonly pid: number;
  /** Ticks since the machine started, 32 bits of them; 0 where the system does not tell. */
  readonly since: number;
}

export function processId(pid: number): ProcessId {
  return { pid, since: ticksOf(pid) | 0 };
}

/** That process runs, and not another one that got its number. */
export function isRunning({ pid, since }: ProcessId): boolean {
  if (!isAlive(pid)) return false;
  const now = ticksOf(pid) | 0;
  return now === since || now === 0 || since === 0;
}

/** Milliseconds since 1970; undefined where the system does not tell. */
export function startedAt(pid: number): number | undefined {
  const since = (bootedAt() + ticksOf(pid) / TICKS_PER_SECOND) * 1_000;
  return Number.isNaN(since) ? undefined : since;
}

function ticksOf(pid: number): number {
  return Number(statOf(pid)?.[START_TIME_FIELD - FIRST_FIELD]);
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

/** Seconds since 1970. */
function bootedAt(): number {
  try {
    return Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]);
  } catch {
    return Number.NaN;
  }
}

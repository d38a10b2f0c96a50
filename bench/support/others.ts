/**
 * How much of the machine processes used that are not ours: the trap of every
 * measurement on a machine that somebody else works on too. Linux only.
 */
import { readFileSync } from 'node:fs';

/** Both in ticks of the kernel. */
export interface Usage {
  readonly everybody: number;
  /** This process, and children that have ended. */
  readonly ours: number;
  readonly atMs: number;
}

const TICKS_PER_SECOND = 100;

export function readUsage(): Usage {
  return { everybody: ticksOfAll(), ours: ticksOfOurs(), atMs: performance.now() };
}

/**
 * @param before read when no child ran, as `after`: one that runs is counted only when it ends
 * @returns cores, on average
 */
export function coresOfOthers(before: Usage, after: Usage): number {
  const ticks = after.everybody - before.everybody - (after.ours - before.ours);
  return Math.max(0, ticks / TICKS_PER_SECOND / ((after.atMs - before.atMs) / 1_000));
}

/** User, nice and system: interrupts belong to no process. */
function ticksOfAll(): number {
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/ +/);
  const [user = 0, nice = 0, system = 0] = fields.map(Number);
  return user + nice + system;
}

/** Fields 14 to 17 of `/proc/PID/stat`; the name before them may contain anything, but ends with the last ")". */
function ticksOfOurs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}

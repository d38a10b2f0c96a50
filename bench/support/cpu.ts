/**
 * CPU time of a process, its children and all their threads, in nanoseconds, as
 * the kernel's scheduler counts it. Linux only.
 *
 * The first number of `/proc/PID/task/TID/schedstat` is exact, where the ticks
 * of `/proc/PID/stat` are 10 ms wide. A thread takes its count with it when it
 * ends, so `cpuBetween` refuses an interval in which one ended.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { BenchFailure } from './failure.ts';

/** Nanoseconds since its start, by `PID/TID`. */
export type CpuReading = ReadonlyMap<string, number>;

/**
 * @param name for the message if it is gone
 * @throws {BenchFailure} the process is gone
 */
export function readCpu(name: string, pid: number): CpuReading {
  const reading = new Map<string, number>();
  for (const process of processTree(pid)) {
    for (const thread of threadsOf(process)) {
      const [ran] = read(`/proc/${process}/task/${thread}/schedstat`).split(' ');
      if (ran !== undefined && ran !== '') reading.set(`${process}/${thread}`, Number(ran));
    }
  }
  if (reading.size === 0)
    throw new BenchFailure(`${name} (process ${pid}) has ended; it should serve until the end`);
  return reading;
}

/** @throws {BenchFailure} a thread ended in between, so the sum would be too low */
export function cpuBetween(before: CpuReading, after: CpuReading): number {
  let total = 0;
  for (const thread of before.keys()) {
    if (after.has(thread)) continue;
    throw new BenchFailure(`process/thread ${thread} ended while it was measured`);
  }
  for (const [thread, ran] of after) total += ran - (before.get(thread) ?? 0);
  return total;
}

/** The process and all that descend from it. */
export function processTree(pid: number): readonly number[] {
  const children = threadsOf(pid).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Empty for what ended between being listed and being read. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/**
 * Memory of a server in user space: the proportional set size of its processes,
 * in which a page that several share is counted once. What the kernel keeps for
 * its sockets is not in it. Linux only.
 */
import { readFileSync } from 'node:fs';
import { processTree } from './cpu.ts';
import { BenchFailure } from './failure.ts';

/**
 * @param name for the message if it is gone
 * @returns bytes
 * @throws {BenchFailure} the process is gone, or its memory is not ours to see
 */
export function readPss(name: string, pid: number): number {
  return processTree(pid).reduce((sum, process) => sum + pssOf(name, process), 0);
}

function pssOf(name: string, pid: number): number {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss: +(\d+) kB$/m.exec(rollup)?.[1]) * 1024;
  } catch (thrown) {
    throw new BenchFailure(`${name}: cannot read the memory of process ${pid}`, { cause: thrown });
  }
}

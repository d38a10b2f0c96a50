/** On which CPUs this process may run. */
import type { Calls } from './descriptor-passing.ts';

export interface CpuAffinity {
  /** By number, ascending. */
  allowedCpus(): number[];
  /** Keeps the calling thread, which is the one that runs JavaScript, on one of them. */
  pinTo(cpu: number): void;
}

/** `cpu_set_t`: one bit for each of 1,024 CPUs. */
const SET_BYTES = 128;

export function bindCpuAffinity({ func, fail }: Calls): CpuAffinity {
  const get = func('int sched_getaffinity(int pid, size_t length, void *set)');
  const set = func('int sched_setaffinity(int pid, size_t length, const void *set)');
  return {
    allowedCpus() {
      const bits = Buffer.alloc(SET_BYTES);
      if (get(0, SET_BYTES, bits) === -1) fail('sched_getaffinity');
      return Array.from({ length: SET_BYTES * 8 }, (_, cpu) => cpu).filter(
        (cpu) => ((bits[cpu >> 3]! >> (cpu & 7)) & 1) === 1,
      );
    },
    pinTo(cpu) {
      const bits = Buffer.alloc(SET_BYTES);
      bits[cpu >> 3] = 1 << (cpu & 7);
      if (set(0, SET_BYTES, bits) === -1) fail('sched_setaffinity');
    },
  };
}

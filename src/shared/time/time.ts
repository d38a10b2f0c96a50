/** What tells a worker the time and wakes it: the machine, or a test that moves the clock. */
import { performance } from 'node:perf_hooks';
import { monotonicNs, type Clock } from './clock.ts';

export interface Time {
  /** Milliseconds, never set back; for what happens within one process. */
  now(): number;
  /** The clock of shared tables. */
  readonly clock: Clock;
  /** Once. @returns cancels it */
  after(ms: number, run: () => void): () => void;
  /** Again and again; does not keep the process alive. @returns stops it */
  every(ms: number, run: () => void): () => void;
}

export const machineTime: Time = {
  now: () => performance.now(),
  clock: monotonicNs,
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

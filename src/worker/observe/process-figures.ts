/** What a worker costs, written into its metrics row once a second. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Recorder } from '../../shared/metrics/recorder.ts';

const INTERVAL_MS = 1_000;

/** @returns stops it */
export function recordProcessFigures(recorder: Recorder): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  let resident = 0;
  const write = () => {
    const { user, system } = process.cpuUsage();
    const p99 = Number.isFinite(delay.mean) ? delay.percentile(99) / 1e9 : 0;
    resident = residentBytes() ?? resident;
    recorder.processFigures(resident, (user + system) / 1e6, p99);
    delay.reset();
  };
  write();
  const timer = setInterval(write, INTERVAL_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}

/** `undefined` if it cannot be read just now: Node opens a file for it, which fails at the limit on open files. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

/** A process that checks a limit again and again: the segment is descriptor 4. */
import { openLibc } from '../../../src/shared/memory/libc.ts';
import { LimitTable, type LimitSpec } from '../../../src/shared/memory/limit-table.ts';
import { mapSegment } from '../../../src/shared/memory/segment.ts';
import { monotonicNs } from '../../../src/shared/time/clock.ts';

export interface Spending {
  readonly spec: LimitSpec;
  readonly keys: number;
  readonly checks: number;
  /** `steps`: passed in, a microsecond more each time; `real`: read for each check; `held`: always the same. */
  readonly clock: 'steps' | 'real' | 'held';
}

export interface Spent {
  readonly admitted: number;
  /** Of the process, for a check, in nanoseconds. */
  readonly cpuNs: number;
  readonly firstNs: number;
  readonly lastNs: number;
}

process.on('message', ({ spec, keys, checks, clock }: Spending) => {
  const libc = openLibc();
  if ('unavailable' in libc) throw new Error(libc.unavailable);
  const table = new LimitTable(mapSegment(spec, 4, libc), spec.policy);
  const names = Array.from({ length: keys }, (_, nth) => addressOf(nth));
  // All rows are there and the code is compiled before it counts.
  for (let nth = 0; nth < Math.max(keys, 200_000); nth++) table.take(names[nth % keys]!, START, 0);
  const order = Uint32Array.from({ length: 2 ** 20 }, () => Math.random() * keys);
  const firstNs = clock === 'real' ? monotonicNs() : START;
  let nowNs = firstNs;
  let admitted = 0;
  const before = process.cpuUsage();
  for (let nth = 0; nth < checks; nth++) {
    if (clock === 'steps') nowNs += 1_000;
    else if (clock === 'real') nowNs = monotonicNs();
    if (table.take(names[order[nth % 2 ** 20]!]!, nowNs)) admitted += 1;
  }
  const { user, system } = process.cpuUsage(before);
  const cpuNs = ((user + system) * 1_000) / checks;
  process.send!({ admitted, cpuNs, firstNs, lastNs: nowNs } satisfies Spent);
});
process.send!({ ready: true });

const START = 1e15;

function addressOf(nth: number): string {
  return `${100 + (nth >> 18)}.${100 + ((nth >> 12) & 63)}.${100 + ((nth >> 6) & 63)}.${100 + (nth & 63)}`;
}

/** What a check costs, and whether two processes admit exactly what one would. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LimitPolicy } from '../../../src/shared/memory/gcra.ts';
import { openLibc } from '../../../src/shared/memory/libc.ts';
import { limitSpec } from '../../../src/shared/memory/limit-table.ts';
import { createSegment } from '../../../src/shared/memory/segment.ts';
import { median } from '../../support/compare.ts';
import { BenchFailure } from '../../support/failure.ts';
import type { Finding } from './finding.ts';
import type { Spending, Spent } from './spender.ts';

/** Everything is admitted, which is the longer way through the table. */
const WIDE: LimitPolicy = { count: 4_000_000, perMs: 1_000, burst: 1_000_000 };

const COSTS = [
  { keys: 1, goal: 120 },
  { keys: 100_000, goal: 220 },
  { keys: 1_000_000, goal: 380 },
] as const;

export async function* checkCosts(
  repetitions: number,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  for (const { keys, goal } of COSTS) {
    const figures: number[] = [];
    for (let time = 0; time < repetitions; time++) {
      const order = { keys, checks: 2_000_000, clock: 'steps' } as const;
      const [spent] = await spend(WIDE, order, 1, signal);
      figures.push(spent!.cpuNs);
    }
    yield {
      what: `check, one process, ${keys.toLocaleString('en')} keys`,
      goal: `<= ${goal} ns`,
      figure: `${median(figures).toFixed(0)} ns`,
      isMet: median(figures) <= goal,
    };
  }
}

export async function* sharedKey(
  repetitions: number,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const costs: number[] = [];
  let worst = Number.NEGATIVE_INFINITY;
  for (let time = 0; time < repetitions; time++) {
    const both = await spend(WIDE, { keys: 1, checks: 2_000_000, clock: 'steps' }, 2, signal);
    costs.push(median(both.map(({ cpuNs }) => cpuNs)));
    worst = Math.max(
      worst,
      await excess({ count: 1, perMs: 3_600_000, burst: 100_000 }, 'held', signal),
    );
    worst = Math.max(
      worst,
      await excess({ count: 100_000, perMs: 1_000, burst: 1_000 }, 'real', signal),
    );
  }
  yield {
    what: 'two processes, one key',
    goal: '<= 100 ns',
    figure: `${median(costs).toFixed(0)} ns`,
    isMet: median(costs) <= 100,
  };
  yield {
    what: 'two processes, one key: admitted above burst + rate x t',
    goal: 'never',
    figure: worst <= 0 ? 'none' : `${worst.toFixed(1)} requests`,
    isMet: worst <= 0,
  };
}

/** @returns requests that two processes were admitted above what the limit allows; the tolerance is a microsecond */
async function excess(
  policy: LimitPolicy,
  clock: 'held' | 'real',
  signal: AbortSignal,
): Promise<number> {
  const both = await spend(policy, { keys: 1, checks: 2_000_000, clock }, 2, signal);
  const admitted = both.reduce((sum, each) => sum + each.admitted, 0);
  const first = Math.min(...both.map(({ firstNs }) => firstNs));
  const last = Math.max(...both.map(({ lastNs }) => lastNs));
  const earned = ((last - first + 1_000) * policy.count) / (policy.perMs * 1e6);
  return admitted - Math.floor(policy.burst + earned);
}

export function memory(): Finding {
  const bytes = limitSpec('million', 1_000_000, WIDE).size;
  return {
    what: 'memory for 1,000,000 keys, all workers together',
    goal: '<= 32 MB',
    figure: `${(bytes / 1e6).toFixed(1)} MB`,
    isMet: bytes <= 32e6,
  };
}

async function spend(
  policy: LimitPolicy,
  order: Omit<Spending, 'spec'>,
  processes: number,
  signal: AbortSignal,
): Promise<Spent[]> {
  const libc = openLibc();
  if ('unavailable' in libc) throw new BenchFailure(libc.unavailable);
  const spec = limitSpec('bench', Math.max(1_024, order.keys), policy);
  const fd = createSegment(spec, libc).fd!;
  const children: ChildProcess[] = [];
  try {
    for (let nth = 0; nth < processes; nth++) children.push(await start(fd, signal));
    const answers = children.map((child) => once(child, 'message', { signal }));
    for (const child of children) child.send({ ...order, spec });
    return (await Promise.all(answers)).map(([spent]) => spent as Spent);
  } finally {
    for (const child of children) child.kill();
    libc.close(fd);
  }
}

async function start(segmentFd: number, signal: AbortSignal): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('./spender.ts', import.meta.url));
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc', segmentFd] });
  await once(child, 'message', { signal });
  return child;
}

import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import { limitTableSize } from '../../../../src/shared/memory/limit-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { BURST, COST, REGULARS, type CrowdOrder } from './programs/crowd-order.ts';

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

for (const burst of [20, 100_000]) {
  test(
    `two processes that share a limit admit ${burst} in all, and not one more`,
    { skip },
    async (t) => {
      const spec = { name: 'limit:test', layout: 1, size: limitTableSize(1_024) };
      const order = { spec, burst, nowNs: 7e12, tries: burst + 50 };

      const admitted = (await inWorkers<{ admitted: number }>(t, 'spend.ts', 2, order)).map(
        (worker) => worker.admitted,
      );

      assert.equal(admitted[0]! + admitted[1]!, burst, admitted.join(' + '));
    },
  );
}

test(
  'processes that take rows of a full bucket from each other admit no key too often',
  { skip },
  async (t) => {
    const rounds = 2_000;
    const size = rounds * limitTableSize(1) + rounds * 4;
    const spec = { name: 'limit:test', layout: 1, size };
    const order: CrowdOrder = { spec, rounds, workers: 2 };

    const answers = await inWorkers<{ admitted: number[][] }>(t, 'crowd.ts', 2, order);

    const most = BURST / COST;
    let all = 0;
    for (let round = 0; round < rounds; round++) {
      for (const [at, regular] of REGULARS.entries()) {
        const admitted = answers.map((worker) => worker.admitted[round]![at]!);
        const sum = admitted.reduce((one, other) => one + other);
        assert.ok(sum <= most, `round ${round}, key ${regular}: ${admitted.join(' + ')}`);
        all += sum;
      }
    }
    assert.ok(all >= rounds * REGULARS.length * most * 0.999, `${all} admitted`);
  },
);

/** Runs that many processes of a program, over one segment; each answers once. */
async function inWorkers<Answer>(
  t: TestContext,
  program: string,
  count: number,
  order: { readonly spec: { name: string; layout: number; size: number } },
): Promise<Answer[]> {
  if ('unavailable' in libc) throw new Error(libc.unavailable);
  const fd = createSegment(order.spec, libc).fd!;
  t.after(() => libc.close(fd));
  const workers = await Promise.all(
    Array.from({ length: count }, () => startWorker(t, program, fd)),
  );
  const answers = workers.map((worker) => once(worker, 'message'));
  for (const worker of workers) worker.send(order);
  return (await Promise.all(answers)).map(([answer]) => answer as Answer);
}

async function startWorker(t: TestContext, program: string, fd: number): Promise<ChildProcess> {
  const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url));
  const worker = fork(path, { stdio: ['ignore', 'inherit', 'inherit', 'ipc', fd] });
  t.after(() => worker.kill());
  await once(worker, 'message');
  return worker;
}

import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import { limitTableSize } from '../../../../src/shared/memory/limit-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const PROGRAM = fileURLToPath(new URL('programs/spend.ts', import.meta.url));

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

for (const burst of [20, 100_000]) {
  test(
    `two processes that share a limit admit ${burst} in all, and not one more`,
    { skip },
    async (t) => {
      if ('unavailable' in libc) return;
      const spec = { name: 'limit:test', layout: 1, size: limitTableSize(1_024) };
      const { fd } = createSegment(spec, libc);
      t.after(() => libc.close(fd!));
      const workers = await Promise.all([startWorker(fd!), startWorker(fd!)]);

      const answers = workers.map((worker) => once(worker, 'message'));
      for (const worker of workers) worker.send({ spec, burst, nowNs: 7e12, tries: burst + 50 });
      const admitted = (await Promise.all(answers)).map(([{ admitted }]) => admitted as number);

      assert.equal(admitted[0]! + admitted[1]!, burst, admitted.join(' + '));

      async function startWorker(segmentFd: number): Promise<ChildProcess> {
        const stdio = ['ignore', 'inherit', 'inherit', 'ipc', segmentFd] as const;
        const worker = fork(PROGRAM, { stdio: [...stdio] });
        t.after(() => worker.kill());
        await once(worker, 'message');
        return worker;
      }
    },
  );
}

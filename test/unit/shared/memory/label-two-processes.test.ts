import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LabelTable, labelTableSize } from '../../../../src/shared/memory/label-table.ts';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const PROGRAM = fileURLToPath(new URL('programs/claim.ts', import.meta.url));
const ROWS = 400;

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

test('two processes that meet values at the same time agree on their rows', { skip }, async (t) => {
  if ('unavailable' in libc) return;
  const spec = { name: 'labels', layout: 1, size: labelTableSize(ROWS) };
  const segment = createSegment(spec, libc);
  t.after(() => libc.close(segment.fd!));
  const values = Array.from({ length: ROWS }, (_, number) => `value ${number}`);
  const orders = [values, values.toReversed()];
  const processes = await Promise.all(orders.map(() => startProcess()));

  const answers = processes.map((each) => once(each, 'message'));
  for (const [at, each] of processes.entries()) each.send({ spec, rows: ROWS, values: orders[at] });
  const [one, other] = (await Promise.all(answers)).map(([{ claimed }]) => claimed as number[]);

  assert.deepEqual(other!.toReversed(), one);
  assert.deepEqual(
    one!.toSorted((a, b) => a - b),
    values.map((_, row) => row),
  );
  const shown = new LabelTable(segment).valuesIn({ start: 0, rows: ROWS });
  assert.deepEqual(
    one!.map((row) => shown[row]),
    values,
  );

  async function startProcess(): Promise<ChildProcess> {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc', segment.fd!] as const;
    const started = fork(PROGRAM, { stdio: [...stdio] });
    t.after(() => started.kill());
    await once(started, 'message');
    return started;
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from '../../../src/supervisor/launch.ts';

test('a process that cannot be started is a failure with its reason', async (t) => {
  const { execPath } = process;
  t.after(() => {
    process.execPath = execPath;
  });
  process.execPath = '/nowhere/node';

  assert.deepEqual(await launch({ args: [], output: 'ignore', timeoutMs: 10_000 }), {
    kind: 'failed',
    reason: 'it cannot be started: spawn /nowhere/node ENOENT',
  });
});

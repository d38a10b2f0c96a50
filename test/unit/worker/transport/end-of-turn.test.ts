import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atEndOfTurn } from '../../../../src/worker/transport/end-of-turn.ts';

test('listeners are called in the order in which they asked, once each time', async () => {
  const called: string[] = [];
  atEndOfTurn({
    onEndOfTurn() {
      called.push('one');
      atEndOfTurn({ onEndOfTurn: () => called.push('one, again') });
    },
  });
  atEndOfTurn({ onEndOfTurn: () => called.push('two') });
  assert.deepEqual(called, [], 'not before the turn is over');

  while (called.length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(called, ['one', 'two', 'one, again']);
});

test('one that throws does not keep the others from being called, in a program that survives it', () => {
  const program = fileURLToPath(new URL('programs/throwing-listener.ts', import.meta.url));

  const { stdout, status } = spawnSync(process.execPath, [program], { encoding: 'utf8' });

  assert.equal(stdout, 'threw, second, third');
  assert.equal(status, 0);
});

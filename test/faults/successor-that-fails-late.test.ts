import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startPair } from '../support/upgrade.ts';

const program = fileURLToPath(new URL('programs/one-does-not-open.ts', import.meta.url));
const ANSWER_AFTER_MS = 1_500;

test('a successor that fails when some of its workers accept already lets them answer', async (t) => {
  const yaml = `answerAfterMs: ${ANSWER_AFTER_MS}`;
  const pair = await startPair(t, yaml, { program, threads: 2 });
  const { old } = pair;
  const next = await pair.startSuccessor({ yaml: `${yaml}\ndies: true` });

  old.process.kill('SIGQUIT');
  const answers: Promise<string>[] = [];
  let isOver = false;
  const failed = old.logged(({ msg }) => msg === 'hand-off failed; serving on');
  void failed.then(() => (isOver = true));
  while (!isOver) {
    answers.push(old.get('/').then(({ status, body }) => `${status} ${body}`));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  const { reason } = (await failed) as { reason?: string };
  assert.match(reason ?? '', /ended before it was ready: SIGKILL/);
  assert.deepEqual([...new Set(await Promise.all(answers))].toSorted(), ['200 new', '200 old']);
  assert.equal((await next.ended).code, 1);
});

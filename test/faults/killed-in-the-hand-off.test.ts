/** Each side is killed in every state of a hand-off; someone serves on, and an upgrade goes on to be possible. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PredecessorState, SuccessorState } from '../../src/supervisor/handoff/states.ts';
import { eventually, type Running } from '../support/index.ts';
import { exited, startPair } from '../support/upgrade.ts';

const program = fileURLToPath(new URL('programs/dies-at.ts', import.meta.url));
/** Says every state. */
const env = { SLUICE_LOG: 'debug' };

test('a successor that is killed, in whatever state, leaves a predecessor that serves', async (t) => {
  const pair = await startPair(t, 'text: one', { program });
  const { old, pidFile } = pair;
  const states = ['receiving', 'starting', 'ready', 'taking-over', 'pid file'] satisfies (
    | SuccessorState
    | 'pid file'
  )[];
  for (const state of states) {
    const before = old.logs.length;
    const next = await pair.startSuccessor({ yaml: `text: two\ndiesAt: ${state}`, env });
    old.process.kill('SIGQUIT');

    await old.logged(({ msg }, index) => index >= before && msg === 'hand-off failed; serving on');

    assert.deepEqual(await exited(next), { code: null, signal: 'SIGKILL' }, state);
    endOrphansOf(next);
    assert.equal((await old.get('/')).body, 'one', state);
    await eventually(
      async () => (Number(readFileSync(pidFile, 'utf8')) === old.pid ? true : undefined),
      `the pid file to name the predecessor again (${state})`,
    );
  }

  await pair.upgrade({ yaml: 'text: two' });
  assert.deepEqual(await exited(old), { code: 0, signal: null });
  assert.equal((await old.get('/')).body, 'two');
});

describe('a predecessor that is killed', () => {
  test('before it has offered anything leaves a successor that waits on', async (t) => {
    const pair = await startPair(t, 'text: one\ndiesAt: introducing', { program, env });
    const next = await pair.startSuccessor({ yaml: 'text: two' });
    pair.old.process.kill('SIGQUIT');
    await exited(pair.old);

    assert.equal((await pair.old.get('/')).body, 'one');
    endOrphansOf(pair.old);
    assert.equal(next.process.exitCode, null);
    next.process.kill('SIGTERM');
    assert.equal((await next.ended).code, 0);
  });

  test('before it has handed over all leaves a successor that says what to do, and workers that serve', async (t) => {
    const pair = await startPair(t, 'text: one\ndiesAt: sending', { program, env });
    const next = await pair.startSuccessor({ yaml: 'text: two' });
    pair.old.process.kill('SIGQUIT');
    await exited(pair.old);
    const { code, stderr } = await next.ended;

    assert.equal((await pair.old.get('/')).body, 'one');
    endOrphansOf(pair.old);
    assert.equal(code, 1);
    assert.match(stderr, /did not take over: process \d+ has ended; start without -u/);
    assert.ok(!existsSync(pair.upgradeSocket));
  });

  for (const state of ['waiting', 'entrusting', 'draining'] satisfies PredecessorState[]) {
    test(`while ${state} is succeeded all the same`, async (t) => {
      const pair = await startPair(t, `text: one\ndiesAt: ${state}`, { program, env });
      const next = await pair.startSuccessor({ yaml: 'text: two' });
      pair.old.process.kill('SIGQUIT');

      await exited(pair.old);
      await next.logged(({ msg }) => msg === 'serving');

      endOrphansOf(pair.old);
      assert.equal((await pair.old.get('/')).body, 'two');
      assert.equal(Number(readFileSync(pair.pidFile, 'utf8')), next.pid);
    });
  }
});

/** They would serve on for a while, for want of a supervisor. */
function endOrphansOf({ logs }: Running): void {
  for (const { msg, workerPid } of logs)
    if (msg === 'worker ready') process.kill(Number(workerPid), 'SIGKILL');
}

/** Who answers the control socket and the admin page while one process hands over to another. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, get, launch } from '../../support/index.ts';
import { exited, startPair } from '../../support/upgrade.ts';

const MISCHIEF = fileURLToPath(new URL('programs/mischief.ts', import.meta.url));
/** Of those that share a socket either may answer: so many do not all come to the same one. */
const PROBES = 20;

test('the process that serves answers until it has handed over, and then its successor', async (t) => {
  const pair = await startPair(t, 'text: one', { program: MISCHIEF });
  const { old, folder, conf } = pair;
  const gate = join(folder, 'gate');
  const next = await pair.startSuccessor({ yaml: `gate: ${gate}` });
  old.process.kill('SIGQUIT');
  await next.logged(({ msg }) => msg === 'taking over');
  // It has all it needs by now, and its workers wait at the gate.
  await eventually(async () => (childrenOf(next.pid) > 0 ? true : undefined), 'its workers');

  for (let probe = 0; probe < PROBES; probe++) {
    assert.equal((await get(old.adminPort, '/readyz')).body, 'ready\n');
    const { pid, state } = await pageOf(old.adminPort);
    assert.deepEqual({ pid, state }, { pid: old.pid, state: 'serving' });
  }
  const asked = await launch(t, ['status', '--json', '-c', conf]).ended;
  assert.equal((JSON.parse(asked.stdout) as { pid: number }).pid, old.pid);

  writeFileSync(gate, '');
  assert.equal((await exited(old)).code, 0);
  assert.equal((await get(old.adminPort, '/readyz')).body, 'ready\n');
  const { pid, state } = await pageOf(old.adminPort);
  assert.deepEqual({ pid, state }, { pid: next.pid, state: 'serving' });
  const now = await launch(t, ['status', '--json', '-c', conf]).ended;
  assert.equal((JSON.parse(now.stdout) as { pid: number }).pid, next.pid);
});

async function pageOf(port: number): Promise<{ pid: number; state: string }> {
  const { body } = await get(port, '/status');
  return JSON.parse(body) as { pid: number; state: string };
}

function childrenOf(pid: number): number {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    .length;
}

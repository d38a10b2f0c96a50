/** `sluice upgrade`: the running supervisor starts its successor itself. */
import assert from 'node:assert/strict';
import { writeFileSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { launch, startPeer } from '../../support/index.ts';
import { exited, startPair } from '../../support/upgrade.ts';

test('sluice upgrade starts the successor, waits for it, and says so', async (t) => {
  const peer = await startPeer(t);
  const { old, conf, pidFile } = await startPair(
    t,
    `
    upstreams: { api: { peers: ['${peer.address}'] } }
    services: [{ listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]
  `,
  );

  const { code, stdout, stderr } = await launch(t, ['upgrade', '-c', conf]).ended;

  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  const successor = Number(readFileSync(pidFile, 'utf8'));
  assert.notEqual(successor, old.pid);
  assert.match(
    stdout,
    new RegExp(`^process ${successor} \\(Sluice .*\\) serves now; process ${old.pid} drains\n$`),
  );
  assert.equal((await exited(old)).code, 0);
  assert.equal((await old.get('/')).status, 200);
});

test('sluice upgrade to a broken configuration is refused with its problems, and nothing has changed', async (t) => {
  const peer = await startPeer(t);
  const { old, conf, pidFile } = await startPair(
    t,
    `
    upstreams: { api: { peers: ['${peer.address}'] } }
    services: [{ listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]
  `,
  );
  const good = readFileSync(conf, 'utf8');
  writeFileSync(conf, `${good}\nthreads: many\n`);

  const { code, stderr } = await launch(t, [
    'upgrade',
    '--control',
    pidFile.replace('.pid', '.control.sock'),
  ]).ended;

  assert.equal(code, 1);
  assert.match(stderr, /threads: expected "auto" or a whole number, got "many"/);
  assert.equal(Number(readFileSync(pidFile, 'utf8')), old.pid);
  assert.equal((await old.get('/')).status, 200);
});

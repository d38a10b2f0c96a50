/** `sluice upgrade`: the running supervisor starts its successor itself. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, startPeer, temporaryFile } from '../../support/index.ts';
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
  const status = await launch(t, ['status', '-c', conf]).ended;
  assert.match(status.stdout, new RegExp(`process ${successor}: serving`));
  assert.match(status.stdout, new RegExp(`^peers +\\d+ KiB +process ${old.pid}$`, 'm'));
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

const MISCHIEF = fileURLToPath(new URL('programs/mischief.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

test('sluice upgrade starts what a deployment has put in the place of the program', async (t) => {
  const folder = dirname(temporaryFile(t, 'x', ''));
  const program = readFileSync(MISCHIEF, 'utf8');
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/sluice'));
  for (const release of ['one', 'two']) {
    mkdirSync(join(folder, release));
    writeFileSync(
      join(folder, release, 'main.ts'),
      program.replace("text = 'ok'", `text = '${release}'`),
    );
  }
  const current = join(folder, 'current');
  symlinkSync('one', current);
  const { old, conf } = await startPair(t, 'x: 1', { program: join(current, 'main.ts') });
  assert.equal((await old.get('/')).body, 'one');

  symlinkSync('two', join(folder, 'next'));
  renameSync(join(folder, 'next'), current);
  const { code, stderr } = await launch(t, ['upgrade', '-c', conf]).ended;

  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  await exited(old);
  assert.equal((await old.get('/')).body, 'two');
});

test(
  'sluice upgrade works for a process that has given up root',
  { skip: process.geteuid?.() !== 0 && 'needs root' },
  async (t) => {
    const answering = (text: string) => `
      user: nobody
      services: [{ listen: ['127.0.0.1:0'], routes: [{ respond: { status: 200, body: ${text} } }] }]
    `;
    const { old, conf, folder, pidFile } = await startPair(t, answering('one'));
    chmodSync(folder, 0o755);
    chmodSync(dirname(conf), 0o755);
    writeFileSync(conf, readFileSync(conf, 'utf8').replace('body: one', 'body: two'));

    const { code, stderr } = await launch(t, ['upgrade', '-c', conf]).ended;

    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    await exited(old);
    assert.equal((await old.get('/')).body, 'two');
    const successor = Number(readFileSync(pidFile, 'utf8'));
    assert.notEqual(successor, old.pid);
    assert.match(readFileSync(`/proc/${successor}/status`, 'utf8'), /^Uid:\s+65534\s+65534/m);
  },
);

/** Upgrades that fail: whatever happens to the successor, the process that serves goes on, and says why. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLibc } from '../../src/shared/memory/libc.ts';
import { Channel } from '../../src/supervisor/handoff/channel.ts';
import { get, launch, temporaryFile } from '../support/index.ts';
import { exited, isAlive, startPair, type Pair } from '../support/upgrade.ts';

const program = fileURLToPath(
  new URL('../behaviour/upgrade/programs/mischief.ts', import.meta.url),
);
const FAILED = 'hand-off failed; serving on';
const asRoot = { skip: process.geteuid?.() !== 0 && 'needs root' };
const NOBODY = 65_534;

/** It serves, it is the main process, and it can be upgraded still. */
async function isUnharmed({ old, pidFile }: Pair): Promise<void> {
  assert.equal((await old.get('/')).body, 'one');
  assert.equal(Number(readFileSync(pidFile, 'utf8')), old.pid);
  assert.ok(!old.logs.some(({ msg }) => msg === 'worker died; replacing it'));
}

/** Up to the first that is free: then there is none. */
function openFilesOf(pid: number): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`));
  let first = 0;
  while (open.has(String(first))) first += 1;
  return first;
}

function limitOpenFiles(pid: number, limit: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
}

async function isUpgradable(pair: Pair): Promise<void> {
  await pair.upgrade({ yaml: 'text: two' });
  assert.deepEqual(await exited(pair.old), { code: 0, signal: null });
  assert.equal((await pair.old.get('/')).body, 'two');
}

describe('a successor that waits at the upgrade socket', () => {
  const failing = [
    {
      name: 'cannot start its workers',
      yaml: 'mischief: worker throws',
      says: /cannot start: worker \d+ ended before it was ready: exit code 1/,
    },
    { name: 'has a hook that throws', yaml: 'mischief: hook throws', says: /made for the test/ },
    {
      name: 'takes too long',
      yaml: 'mischief: worker hangs',
      says: /^the successor \(process \d+\) did not answer within 1000 ms$/,
    },
  ];
  for (const { name, yaml: ill, says } of failing) {
    test(`and ${name} is told of, and the old process serves on`, async (t) => {
      const readyS = name === 'takes too long' ? 1 : 30;
      const yaml = `text: one\nupgrade: { ready: ${readyS}s }`;
      const pair = await startPair(t, yaml, { program });
      const next = await pair.startSuccessor({ yaml: ill });
      pair.old.process.kill('SIGQUIT');

      const { reason } = await pair.old.logged(({ msg }) => msg === FAILED);

      assert.match(String(reason), says);
      assert.equal((await next.ended).code, 1);
      assert.ok(!existsSync(pair.upgradeSocket));
      await isUnharmed(pair);
    });
  }

  test('and is killed before SIGQUIT leaves a socket that the next one replaces', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    const killed = await pair.startSuccessor();
    killed.process.kill('SIGKILL');
    await killed.ended;
    assert.ok(existsSync(pair.upgradeSocket));

    await isUpgradable(pair);
  });

  test('is of no use to a process that is out of open files, which says what to do', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    const { old } = pair;
    const usual = openFilesOf(old.pid);
    const next = await pair.startSuccessor({ yaml: 'text: two' });
    limitOpenFiles(old.pid, usual);
    old.process.kill('SIGQUIT');

    const { reason } = await old.logged(({ msg }) => msg === FAILED);

    assert.match(String(reason), /failed: EMFILE; raise the limit on open files \(ulimit -n/);
    await isUnharmed(pair);
    limitOpenFiles(old.pid, usual + 100);
    old.process.kill('SIGQUIT');
    await next.logged(({ msg }) => msg === 'serving');
    assert.deepEqual(await exited(old), { code: 0, signal: null });
  });

  test('ends when it is told to, and nothing has happened', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    const next = await pair.startSuccessor();
    next.process.kill('SIGTERM');
    const { code } = await next.ended;

    assert.equal(code, 0);
    assert.ok(!existsSync(pair.upgradeSocket));
    await isUnharmed(pair);
  });

  test('where another one waits already is refused', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    await pair.startSuccessor();
    const { code, stderr } = await launch(t, ['-c', pair.old.conf, '-u'], { program }).ended;

    assert.equal(code, 1);
    assert.match(stderr, /upgrade\.sock: another successor waits there already/);
    await isUnharmed(pair);
  });

  test('takes no notice of whoever else connects', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    const next = await pair.startSuccessor({ yaml: 'text: two' });
    const stranger = connect(pair.upgradeSocket);
    stranger.on('error', () => {});
    stranger.write('GET / HTTP/1.1\r\n\r\n');
    await next.logged(({ msg }) => msg === 'not an offer; waiting on');

    pair.old.process.kill('SIGQUIT');

    await next.logged(({ msg }) => msg === 'serving');
    stranger.destroy();
    await exited(pair.old);
  });

  for (const { name, offer, says } of [
    {
      name: 'of a release with no common version of the protocol',
      offer: { versions: { oldest: 8, newest: 9 } },
      says: /speaks versions 8 to 9 of the hand-off and the successor version 1/,
    },
    {
      name: 'of a systemd service from outside',
      offer: { unit: 'sluice.service' },
      says: /upgrade with: systemctl reload sluice\.service/,
    },
    {
      name: 'of more descriptors than it may open',
      offer: { descriptors: 900_000_000 },
      says: /raise it \(ulimit -n, or LimitNOFILE= of the service\)/,
    },
  ]) {
    test(`refuses an offer ${name}, says why on both sides, and ends`, async (t) => {
      const libc = openLibc();
      if ('unavailable' in libc) return t.skip(libc.unavailable);
      const pair = await startPair(t, 'text: one', { program });
      const next = await pair.startSuccessor();
      const channel = new Channel(libc, libc.connectUnix(pair.upgradeSocket), 'the successor');
      t.after(() => channel.close());
      const patience = { withinMs: 20_000, abort: new AbortController().signal };
      const complete = {
        kind: 'offer',
        versions: { oldest: 1, newest: 1 },
        release: '9.9.9',
        pid: 1,
        descriptors: 1,
        ...offer,
      };
      await channel.send(complete, [], patience);

      const { message } = await channel.receive(patience);
      const { code, stderr } = await next.ended;

      assert.match(String(message['reason']), says);
      assert.equal(code, 1);
      assert.match(stderr, says);
      await isUnharmed(pair);
    });
  }
});

describe('sluice upgrade', () => {
  const failing = [
    {
      name: 'ends at once',
      yaml: 'mischief: dies',
      says: /has ended with code 7; what it said is in the log/,
    },
    { name: 'throws', yaml: 'mischief: throws', says: /has ended with code 1/ },
    {
      name: 'cannot start its workers',
      yaml: 'mischief: worker throws',
      says: /worker \d+ ended before it was ready/,
    },
    {
      name: 'never gets ready',
      yaml: 'mischief: worker hangs',
      says: /did not answer within 1000 ms/,
    },
  ];
  for (const { name, yaml, says } of failing) {
    test(`to a program that ${name} fails with the reason, and the old process serves on`, async (t) => {
      const readyS = name === 'never gets ready' ? 1 : 30;
      const pair = await startPair(t, `text: one\nupgrade: { ready: ${readyS}s }`, { program });
      appendFileSync(pair.old.conf, `\n${yaml}\n`);

      const { code, stderr } = await launch(t, ['upgrade', '-c', pair.old.conf]).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
      await isUnharmed(pair);
    });
  }

  test(
    'on a full disk fails for want of a pid file, and the old process serves on',
    asRoot,
    async (t) => {
      if (spawnSync('unshare', ['--mount', 'true']).status !== 0) return t.skip('may not mount');
      const [conf, disk] = [temporaryFile(t, 'conf.yaml', ''), temporaryFile(t, 'x', '')].map(
        dirname,
      );
      const file = join(conf!, 'conf.yaml');
      const control = join(conf!, 'control.sock');
      writeFileSync(
        file,
        `version: 1\nthreads: 1\ntext: one\npid_file: ${disk}/sluice.pid\ncontrol_sock: ${control}\n`,
      );
      const old = launch(t, ['-c', file], { program, smallDisk: disk! });
      const { addresses } = await old.logged(({ msg }) => msg === 'serving');
      const seen = `/proc/${old.pid}/root${disk}`;
      assert.throws(() => writeFileSync(`${seen}/filler`, 'x'.repeat(20_000)), { code: 'ENOSPC' });

      const { code, stderr } = await launch(t, ['upgrade', '--control', control]).ended;

      assert.equal(code, 1);
      assert.match(stderr, /cannot write pid_file .*sluice\.pid: ENOSPC/);
      const [{ port }] = addresses as [{ port: number }];
      assert.equal((await get(port, '/')).body, 'one');
      assert.equal(readFileSync(`${seen}/sluice.pid`, 'utf8'), `${old.pid}\n`);
    },
  );

  test('is refused while another upgrade is under way', async (t) => {
    const pair = await startPair(t, 'text: one', { program });
    const gate = join(pair.folder, 'gate');
    appendFileSync(pair.old.conf, `\ngate: ${gate}\n`);
    const first = launch(t, ['upgrade', '-c', pair.old.conf]);
    await pair.old.logged(({ msg }) => msg === 'handing over');

    const second = await launch(t, ['upgrade', '-c', pair.old.conf]).ended;
    writeFileSync(gate, '');

    assert.equal(second.code, 1);
    assert.match(second.stderr, /another upgrade is under way/);
    assert.equal((await first.ended).code, 0);
    await exited(pair.old);
  });
});

test(
  'a successor started by root takes over from a process that has given up root',
  asRoot,
  async (t) => {
    const user = 'user: nobody\n';
    const pair = await startPair(t, `text: one\n${user}`, {
      program,
      // What tests import is for everybody to read only where the checkout is.
      env: { NODE_COMPILE_CACHE: undefined },
    });
    chmodSync(pair.folder, 0o755);
    const next = await pair.startSuccessor({ yaml: `text: two\n${user}` });
    const { uid, mode } = statSync(pair.upgradeSocket);
    assert.deepEqual({ uid, mode: mode & 0o777 }, { uid: NOBODY, mode: 0o600 });

    pair.old.process.kill('SIGQUIT');
    await next.logged(({ msg }) => msg === 'serving');

    assert.equal(Number(readFileSync(pair.pidFile, 'utf8')), next.pid);
    assert.deepEqual(await exited(pair.old), { code: 0, signal: null });
    assert.equal((await pair.old.get('/')).body, 'two');
    assert.match(
      readFileSync(`/proc/${next.pid}/status`, 'utf8'),
      new RegExp(`^Uid:\\s+${NOBODY}\\s+${NOBODY}`, 'm'),
    );
    assert.ok(isAlive(next.pid));
  },
);

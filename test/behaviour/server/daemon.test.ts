import assert from 'node:assert/strict';
import {
  existsSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  eventually,
  get,
  launch,
  temporaryFile,
  type StartOptions,
} from '../../support/index.ts';

const PROGRAM = fileURLToPath(new URL('programs/start-slowly.ts', import.meta.url));

/** A configuration with pid file and error log in a folder of its own; whatever runs from it ends with the test. */
async function daemon(t: TestContext, more = '', options: StartOptions = {}) {
  // Before the folder: what is to be cleaned up first comes first.
  t.after(async () => {
    const pid = running();
    if (pid === 0 || hasEnded(pid)) return;
    process.kill(pid, 'SIGINT');
    await eventually(() => Promise.resolve(hasEnded(pid) || undefined), 'the daemon’s end');
  });
  const port = await closedPort();
  const folder = dirname(temporaryFile(t, 'x', ''));
  const [pidFile, errorLog] = [join(folder, 'sluice.pid'), join(folder, 'error.log')];
  const running = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0);
  const conf = temporaryFile(
    t,
    'conf.yaml',
    `version: 1
threads: 1
pid_file: ${pidFile}
error_log: ${errorLog}
services: [{ name: edge, listen: [127.0.0.1:${port}], routes: [{ respond: { status: 200, body: ok } }] }]
${more}`,
  );
  return {
    port,
    conf,
    pidFile,
    errorLog,
    running,
    start: (...args: string[]) => launch(t, ['-c', conf, ...args], options).ended,
  };
}

/** Group and session of a process. */
function sessionOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
}

/** It may stand in the process table for as long as nobody asks for its exit code. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

describe('-d', () => {
  test('returns with 0 once requests are answered, and leaves a process behind', async (t) => {
    const { start, port, running, errorLog, pidFile } = await daemon(t);

    const { code, stdout, stderr } = await start('-d');

    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' });
    assert.equal((await get(port, '/')).body, 'ok');
    assert.equal(sessionOf(running()), running());
    assert.equal(readlinkSync(`/proc/${running()}/fd/0`), '/dev/null');
    for (const fd of [1, 2]) assert.equal(readlinkSync(`/proc/${running()}/fd/${fd}`), errorLog);
    assert.match(readFileSync(errorLog, 'utf8'), /"msg":"serving"/);
    // Whatever the shell that started it says, what it writes is not for everybody; the pid file is.
    assert.match(readFileSync(`/proc/${running()}/status`, 'utf8'), /^Umask:\s+0027$/m);
    assert.equal(statSync(errorLog).mode & 0o777, 0o640);
    assert.equal(statSync(pidFile).mode & 0o777, 0o644);
  });

  test('is the same as daemon: true in the file', async (t) => {
    const { start, port } = await daemon(t, 'daemon: true\n');

    assert.equal((await start()).code, 0);

    assert.equal((await get(port, '/')).body, 'ok');
  });

  test('a second time says that the first one is there', async (t) => {
    const { start, running } = await daemon(t);
    await start('-d');

    const { code, stderr } = await start('-d');

    assert.equal(code, 1);
    assert.match(stderr, /another process listens there/);
    process.kill(running(), 0);
  });

  test('prints why it could not start, with 1, and leaves nothing behind', async (t) => {
    const { start, port, pidFile } = await daemon(t);
    const stranger = createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    t.after(() => stranger.close());
    assert.equal((stranger.address() as AddressInfo).port, port);

    const { code, stderr } = await start('-d');

    assert.equal(code, 1);
    assert.match(stderr, /^sluice: service "edge" cannot listen .* another process listens there/);
    assert.ok(!existsSync(pidFile));
  });

  for (const { fault, says } of [
    { fault: 'throws', says: /onStart: the registry of services said no/ },
    { fault: 'uncaught', says: /Error: made for the test\n +at nobodyCatches/ },
    { fault: 'exits', says: /it ended before it was ready: exit code 7/ },
  ]) {
    test(`prints what a program did that ${fault}`, async (t) => {
      const { start } = await daemon(t, `fault: ${fault}\n`, { program: PROGRAM });

      const { code, stderr } = await start('-d');

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }

  test('ends a process that is not ready in time, and says so', async (t) => {
    const yaml = 'fault: none\ndaemon_ready_timeout_seconds: 1\n';
    const { start } = await daemon(t, yaml, { program: PROGRAM });

    const { code, stderr } = await start('-d');

    assert.equal(code, 1);
    assert.match(stderr, /it was not ready within 1 s, and was ended/);
  });

  test('does not wait with daemon_wait_for_ready: false', async (t) => {
    const yaml = 'fault: none\ndaemon_wait_for_ready: false\n';
    const { start, running, errorLog } = await daemon(t, yaml, { program: PROGRAM });

    const { code, stdout, stderr } = await start('-d');

    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' });
    await eventually(() => Promise.resolve(running() || undefined), 'the pid file');
    assert.ok(!hasEnded(running()));
    assert.doesNotMatch(readFileSync(errorLog, 'utf8'), /"msg":"serving"/);
  });

  test('on a disk that is full only the logs suffer: it starts, serves, and is upgraded', async (t) => {
    const { start, conf, running, port } = await daemon(t, 'access_log: /dev/full\n');
    writeFileSync(
      conf,
      readFileSync(conf, 'utf8').replace(/error_log: .*/, 'error_log: /dev/full'),
    );

    assert.equal((await start('-d')).code, 0);
    const first = running();
    assert.equal((await get(port, '/')).body, 'ok');
    const { code, stderr } = await launch(t, ['upgrade', '-c', conf]).ended;

    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    assert.notEqual(running(), first);
    assert.equal((await get(port, '/')).body, 'ok');
    await eventually(() => Promise.resolve(hasEnded(first) || undefined), 'the first one’s end');
  });

  test('-t checks and starts nothing', async (t) => {
    const { start, pidFile } = await daemon(t);

    const { code, stdout } = await start('-t', '-d');

    assert.equal(code, 0);
    assert.match(stdout, /: ok\n$/);
    assert.ok(!existsSync(pidFile));
  });

  test('a mistake in the file is shown before anything goes into the background', async (t) => {
    const { start } = await daemon(t, 'threads: none\n');

    const { code, stderr } = await start('-d');

    assert.equal(code, 1);
    assert.match(stderr, /conf\.yaml:\d+:\d+: /);
  });

  test('the daemon is reached by its verbs, and ends as any other', async (t) => {
    const { start, conf, running, port } = await daemon(t);
    await start('-d');
    const pid = running();

    const status = await launch(t, ['status', '-c', conf]).ended;
    assert.match(status.stdout, new RegExp(`process ${pid}: serving`));
    assert.equal((await launch(t, ['stop', '-c', conf]).ended).code, 0);

    await eventually(() => Promise.resolve(hasEnded(pid) || undefined), 'the end of the process');
    await assert.rejects(get(port, '/'), { code: 'ECONNREFUSED' });
  });

  test('standard output and error follow the error log when it is rotated', async (t) => {
    const { start, running, errorLog } = await daemon(t);
    await start('-d');
    const pid = running();

    renameSync(errorLog, `${errorLog}.1`);
    process.kill(pid, 'SIGUSR1');

    await eventually(
      () => Promise.resolve(readlinkSync(`/proc/${pid}/fd/1`) === errorLog || undefined),
      'standard output to be the new file',
    );
    assert.equal(readlinkSync(`/proc/${pid}/fd/2`), errorLog);
  });
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import {
  edge,
  eventually,
  getTls,
  launch,
  startSluice,
  temporaryFile,
} from '../../support/index.ts';

const asRoot = { skip: process.getuid?.() !== 0 && 'only root can give up root' };

/** An account without rights that every Linux has; its number stands for it in a container. */
const NOBODY = 65_534;

/** A folder that everybody may look into, with one for logs that belongs to nobody. */
function folders(t: TestContext) {
  const folder = dirname(temporaryFile(t, 'x', ''));
  chmodSync(folder, 0o755);
  const logs = join(folder, 'logs');
  mkdirSync(logs, 0o755);
  return { folder, logs };
}

const service = (listen: string, more = '') => `
  ${more}
  services:
    - name: edge
      listen: [${listen}]
      routes: [{ respond: { status: 200, body: ok } }]
`;

/** Real, effective, saved and file system ids, and the supplementary groups, of a process. */
function idsOf(pid: number) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const numbers = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, 'm')
      .exec(status)![1]!
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
  return { uid: numbers('Uid'), gid: numbers('Gid'), groups: numbers('Groups') };
}

async function portBelow1024(): Promise<number> {
  for (let port = 1023; port > 600; port--) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error('every port from 600 to 1023 is taken');
}

describe('with a user to run as', asRoot, () => {
  for (const { name, yaml } of [
    { name: 'by name', yaml: 'user: nobody' },
    { name: 'by number', yaml: `user: "${NOBODY}"\n  group: "${NOBODY}"` },
  ]) {
    test(`${name}, no process keeps anything of root’s, and the port below 1024 is served`, async (t) => {
      const port = await portBelow1024();
      const sluice = await startSluice(t, service(`127.0.0.1:${port}`, yaml), { threads: 2 });
      const { workers } = await sluice.status();

      for (const pid of [sluice.pid, ...workers.map((worker) => worker.pid)]) {
        assert.deepEqual(idsOf(pid), {
          uid: Array(4).fill(NOBODY),
          gid: Array(4).fill(NOBODY),
          groups: [NOBODY],
        });
      }
      assert.equal((await sluice.get('/')).body, 'ok');
      process.kill(workers[0]!.pid, 'SIGKILL');
      await sluice.replaced(workers[0]!.pid);
      assert.equal((await sluice.get('/')).body, 'ok');
    });
  }

  test('a key that only root may read is read before', async (t) => {
    const { folder } = folders(t);
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    writeFileSync(cert, edge.cert);
    writeFileSync(key, edge.key, { mode: 0o600 });
    const sluice = await startSluice(
      t,
      service(`{ address: "127.0.0.1:0", tls: { cert: ${cert}, key: ${key} } }`, 'user: nobody'),
    );

    assert.equal((await getTls(sluice.port, '/')).status, 200);
  });

  test('log files are theirs, and can be rotated', async (t) => {
    const { logs } = folders(t);
    const [errors, access] = [join(logs, 'error.log'), join(logs, 'access.log')];
    const yaml = `user: nobody\n  error_log: ${errors}\n  access_log: ${access}`;
    const sluice = await startSluice(t, service('127.0.0.1:0', yaml), { logFile: errors });
    for (const path of [errors, access]) assert.equal(statSync(path).uid, NOBODY);
    await sluice.get('/before');

    // As logrotate does with `create`: the folder is root's.
    for (const path of [errors, access]) {
      renameSync(path, `${path}.1`);
      writeFileSync(path, '', { mode: 0o666 });
      chmodSync(path, 0o666);
    }
    sluice.process.kill('SIGUSR1');
    await eventually(
      () => Promise.resolve(readFileSync(errors, 'utf8').includes('opened anew') || undefined),
      'the new error log',
    );
    await sluice.get('/after');

    await eventually(
      () => Promise.resolve(readFileSync(access, 'utf8').includes('/after') || undefined),
      'the new access log',
    );
  });

  test('a log file that cannot be made anew goes on, and says why', async (t) => {
    const { logs } = folders(t);
    const errors = join(logs, 'error.log');
    const sluice = await startSluice(
      t,
      service('127.0.0.1:0', `user: nobody\n  error_log: ${errors}`),
      { logFile: errors },
    );

    renameSync(errors, `${errors}.1`);
    sluice.process.kill('SIGUSR1');

    await eventually(() => {
      const text = readFileSync(`${errors}.1`, 'utf8');
      return Promise.resolve(/EACCES.*error log not reopened/.test(text) || undefined);
    }, 'the reason');
  });

  for (const more of [[], ['-d']]) {
    test(`a link in the place of a log file is not followed (${['-c FILE', ...more].join(' ')})`, async (t) => {
      const { folder, logs } = folders(t);
      chownSync(logs, NOBODY, NOBODY);
      const precious = join(folder, 'precious');
      writeFileSync(precious, 'precious');
      for (const setting of ['error_log', 'access_log']) {
        const log = join(logs, `${setting}.txt`);
        symlinkSync(precious, log);
        lchownSync(log, NOBODY, NOBODY);
        const yaml = `version: 1\nuser: nobody\n${setting}: ${log}${service('127.0.0.1:0')}`;
        const conf = temporaryFile(t, 'conf.yaml', yaml.replace(/^ {2}/gm, ''));

        const { code, stderr } = await launch(t, ['-c', conf, ...more]).ended;

        assert.equal(code, 1);
        assert.match(stderr, /cannot write .* is a symbolic link of user 65534, and root follows/);
        assert.match(stderr, /name the file itself, or remove the link/);
      }
      assert.equal(readFileSync(precious, 'utf8'), 'precious');
      assert.equal(statSync(precious).uid, 0);
    });
  }

  test('the pid file and the control socket are theirs', async (t) => {
    const { folder } = folders(t);
    const pidFile = join(folder, 'sluice.pid');
    const sluice = await startSluice(
      t,
      service('127.0.0.1:0', `user: nobody\n  pid_file: ${pidFile}`),
    );

    assert.equal(statSync(pidFile).uid, NOBODY);
    const socket = statSync(join(folder, 'sluice.control.sock'));
    assert.deepEqual({ uid: socket.uid, mode: socket.mode & 0o777 }, { uid: NOBODY, mode: 0o600 });

    sluice.process.kill('SIGTERM');
    await sluice.ended;
    // The folder is root's, so the file stays; but it names nobody any more.
    assert.equal(readFileSync(pidFile, 'utf8'), '');
  });

  test('a reload that needs root again says so, and what to do, and changes nothing', async (t) => {
    const { folder } = folders(t);
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    writeFileSync(cert, edge.cert);
    writeFileSync(key, edge.key, { mode: 0o600 });
    const sluice = await startSluice(t, service('127.0.0.1:0', 'user: nobody'));
    chmodSync(dirname(sluice.conf), 0o755);
    const before = await sluice.status();
    const needs: [string, RegExp][] = [
      [`127.0.0.1:${await portBelow1024()}`, /permission denied; ports below 1024 need root/],
      [
        `{ address: "127.0.0.1:0", tls: { cert: ${cert}, key: ${key} } }`,
        /cannot read .*key\.pem: permission denied/,
      ],
    ];

    for (const [listen, reason] of needs) {
      sluice.configure(service(listen, 'user: nobody'));
      const { kind, text } = await sluice.reload();

      assert.equal(kind, 'refused');
      assert.match(text, reason);
      assert.match(text, new RegExp(`as root.* -d -u, and send QUIT to .*${sluice.pid}`));
      assert.deepEqual((await sluice.status()).workers, before.workers);
      assert.equal((await sluice.get('/')).body, 'ok');
    }
  });

  test('an upgrade needs none of it back: low port, pid file and control socket go on', async (t) => {
    const { folder } = folders(t);
    const port = await portBelow1024();
    const pidFile = join(folder, 'sluice.pid');
    const yaml = `user: nobody\n  pid_file: ${pidFile}`;
    const sluice = await startSluice(t, service(`127.0.0.1:${port}`, yaml));
    // Who started us may not read the file any more once we are somebody else.
    chmodSync(dirname(sluice.conf), 0o755);

    const gone = once(sluice.process, 'exit');
    const upgrade = await launch(t, ['upgrade', '-c', sluice.conf]).ended;

    assert.equal(upgrade.code, 0, upgrade.stderr);
    const successor = Number(readFileSync(pidFile, 'utf8'));
    await gone;
    assert.notEqual(successor, sluice.pid);
    assert.deepEqual(idsOf(successor).uid, Array(4).fill(NOBODY));
    assert.equal((await sluice.get('/')).body, 'ok');
    const status = await launch(t, ['status', '-c', sluice.conf]).ended;
    assert.match(status.stdout, new RegExp(`process ${successor}: serving`));
    // It holds what the first process printed to, which the end of the test waits for.
    process.kill(successor, 'SIGINT');
  });

  test('the control socket believes the kernel about who asks, whatever the mode of its file', async (t) => {
    const { folder } = folders(t);
    const path = join(folder, 'control.sock');
    await startSluice(t, service('127.0.0.1:0', `control_sock: ${path}`));
    chmodSync(path, 0o666);
    const ask = `
      const socket = require('node:net').connect(${JSON.stringify(path)});
      socket.end('{"version":1,"verb":"stop","options":{"now":true}}\\n');
      socket.pipe(process.stdout);`;

    const { stdout } = await promisify(execFile)(process.execPath, ['-e', ask], {
      uid: NOBODY,
      cwd: '/',
    });

    assert.match(stdout, /^\{"kind":"refused","reason":"expected root or user 0, got user 65534"/);
  });

  for (const { yaml, says } of [
    { yaml: 'user: nobody-at-all', says: /user: there is no user "nobody-at-all"/ },
    { yaml: 'user: nobody\ngroup: no-such', says: /group: there is no group "no-such"/ },
  ]) {
    test(`nothing starts with ${yaml.replace('\n', ', ')}`, async (t) => {
      const conf = temporaryFile(
        t,
        'conf.yaml',
        `version: 1\n${yaml}\nservices: [{ listen: [127.0.0.1:0], routes: [{ respond: { status: 200 } }] }]\n`,
      );

      const { code, stderr } = await launch(t, ['-c', conf]).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

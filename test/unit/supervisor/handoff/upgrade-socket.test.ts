/** Where the supervisors meet: who may come, and what may stand at the path. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import {
  connectToSuccessor,
  UpgradeSocket,
} from '../../../../src/supervisor/handoff/upgrade-socket.ts';
import { collectingLog } from '../../../support/collecting-log.ts';
import { temporaryFile } from '../../../support/index.ts';

const opened = openLibc();
const skip = 'unavailable' in opened && opened.unavailable;
const NOBODY = 65_534;
const notRoot = process.geteuid?.() === 0 ? false : 'needs root';

describe('the upgrade socket', { skip }, () => {
  if ('unavailable' in opened) return;
  const libc = opened;
  const never = new AbortController().signal;
  const soon = { withinMs: 100, abort: never };
  const patient = { withinMs: 5_000, abort: never };

  const pathIn = (t: TestContext) => join(dirname(temporaryFile(t, 'x', '')), 'upgrade.sock');
  function open(t: TestContext, path: string, user = process.geteuid!()) {
    const log = collectingLog();
    const socket = UpgradeSocket.open({ libc, path, user, log: log.log });
    t.after(() => socket.close());
    return { socket, logged: log.lines };
  }

  test('is for its owner alone, goes with the successor, and leads to it', async (t) => {
    const path = pathIn(t);
    const { socket } = open(t, path);
    assert.equal(lstatSync(path).mode & 0o777, 0o600);

    const [mine, theirs] = await Promise.all([
      socket.connection(patient),
      connectToSuccessor(libc, path, patient),
    ]);
    await theirs.send({ kind: 'hello' }, [], patient);
    assert.deepEqual((await mine.receive(patient)).message, { kind: 'hello' });
    assert.equal(mine.other, `process ${process.pid}`);
    mine.close();
    theirs.close();

    socket.close();
    assert.equal(existsSync(path), false);
  });

  test('is looked for until it is there', async (t) => {
    const path = pathIn(t);
    const looking = connectToSuccessor(libc, path, patient);
    await new Promise((resolve) => setTimeout(resolve, 80));
    const { socket } = open(t, path);
    (await looking).close();
    (await socket.connection(patient)).close();
  });

  test('that never appears is told with its path', async (t) => {
    const path = pathIn(t);
    await assert.rejects(connectToSuccessor(libc, path, soon), {
      message: `no successor waits at upgrade_sock ${path}: start one with -u`,
      event: 'late',
    });
    const stop = AbortSignal.abort();
    await assert.rejects(connectToSuccessor(libc, path, { withinMs: 5_000, abort: stop }), {
      event: 'stopped',
    });
  });

  test('where nobody comes is given up in time', async (t) => {
    const path = pathIn(t);
    const { socket } = open(t, path);
    await assert.rejects(socket.connection(soon), {
      event: 'late',
      message: /signal the running process with QUIT/,
    });
    await assert.rejects(socket.connection({ withinMs: 5_000, abort: AbortSignal.abort() }), {
      event: 'stopped',
    });
  });

  test('of a successor that was killed is replaced, and is no successor for the predecessor', async (t) => {
    const path = pathIn(t);
    const fd = libc.boundUnixSocket(path, 0o600);
    libc.listen(fd, 1);
    libc.close(fd);
    await assert.rejects(connectToSuccessor(libc, path, soon), { event: 'late' });
    const { socket } = open(t, path);
    const [mine, theirs] = await Promise.all([
      socket.connection(patient),
      connectToSuccessor(libc, path, patient),
    ]);
    mine.close();
    theirs.close();
  });

  test('of a successor that waits is not taken from it', async (t) => {
    const path = pathIn(t);
    open(t, path);
    assert.throws(() => open(t, path), {
      name: 'StartupError',
      message: `upgrade_sock ${path}: another successor waits there already`,
    });
    assert.ok(existsSync(path));
  });

  test('that somebody has replaced is left alone at the end', (t) => {
    const path = pathIn(t);
    const { socket } = open(t, path);
    unlinkSync(path);
    writeFileSync(path, 'not ours');
    socket.close();
    assert.ok(existsSync(path));
  });

  const traps = [
    {
      name: 'a file',
      make: (path: string) => writeFileSync(path, 'precious'),
      says: /it is not a socket/,
    },
    { name: 'a folder', make: (path: string) => mkdirSync(path), says: /it is not a socket/ },
    {
      name: 'a symbolic link to a socket',
      make: (path: string) => {
        libc.close(libc.boundUnixSocket(`${path}.real`, 0o600));
        symlinkSync(`${path}.real`, path);
      },
      says: /it is a symbolic link, expected a socket/,
    },
    {
      name: 'a dangling symbolic link',
      make: (path: string) => symlinkSync(`${path}.nothing`, path),
      says: /it is a symbolic link, expected a socket/,
    },
    {
      name: 'a socket of somebody else',
      make: (path: string) => {
        libc.close(libc.boundUnixSocket(path, 0o600));
        chownSync(path, NOBODY, NOBODY);
      },
      says: /it belongs to user 65534, expected root or our user/,
      root: true,
    },
  ];
  for (const { name, make, says, root = false } of traps) {
    test(`where ${name} stands is used by neither side`, { skip: root && notRoot }, async (t) => {
      const path = pathIn(t);
      make(path);
      assert.throws(() => open(t, path), { name: 'StartupError', message: says });
      await assert.rejects(connectToSuccessor(libc, path, patient), {
        message: says,
        event: 'failed',
      });
      assert.ok(lstatSync(path));
    });
  }

  test('is not made where everybody may replace it', (t) => {
    const path = pathIn(t);
    chmodSync(dirname(path), 0o777);
    assert.throws(() => open(t, path), /everybody may write to the folder/);
    // As /tmp is: nobody can remove what is another's.
    chmodSync(dirname(path), 0o1777);
    open(t, path);
  });

  test('belongs to the user that the predecessor has become', { skip: notRoot }, (t) => {
    const path = pathIn(t);
    open(t, path, NOBODY);
    const { uid, mode } = lstatSync(path);
    assert.deepEqual({ uid, mode: mode & 0o777 }, { uid: NOBODY, mode: 0o600 });
  });

  test(
    'turns away who is neither root nor our user, and waits on',
    { skip: notRoot },
    async (t) => {
      const path = pathIn(t);
      const { socket, logged } = open(t, path);
      chmodSync(dirname(path), 0o755);
      chmodSync(path, 0o666);
      process.seteuid!(NOBODY);
      let stranger: number;
      try {
        stranger = libc.connectUnix(path);
      } finally {
        process.seteuid!(0);
      }
      const [mine, theirs] = await Promise.all([
        socket.connection(patient),
        connectToSuccessor(libc, path, patient),
      ]);

      assert.equal(libc.receiveBytes(stranger), 'end');
      assert.deepEqual(
        logged.map(({ uid }) => uid),
        [NOBODY],
      );
      for (const fd of [stranger]) libc.close(fd);
      mine.close();
      theirs.close();
    },
  );

  test(
    'behind which somebody else listens gets nothing from the predecessor',
    { skip: notRoot },
    async (t) => {
      const path = pathIn(t);
      chmodSync(dirname(path), 0o777);
      process.seteuid!(NOBODY);
      let fd: number;
      try {
        fd = libc.boundUnixSocket(path, 0o777);
        libc.listen(fd, 1);
      } finally {
        process.seteuid!(0);
      }
      t.after(() => libc.close(fd));
      // As if it had been root's when it was looked at.
      chownSync(path, 0, 0);
      await assert.rejects(connectToSuccessor(libc, path, patient), {
        event: 'failed',
        message: /runs as user 65534, expected root or 0/,
      });
    },
  );
});

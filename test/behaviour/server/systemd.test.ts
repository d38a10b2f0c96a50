import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openLibc, type Libc } from '../../../src/shared/memory/libc.ts';
import { notifySocket, type Notification } from '../../support/notify-socket.ts';
import { closedPort, get, launch, startSluice, temporaryFile } from '../../support/index.ts';

const folderOf = (t: TestContext) => dirname(temporaryFile(t, 'x', ''));

const service = (listen: string, more = '') => `
  ${more}
  services:
    - name: edge
      listen: [${listen}]
      routes: [{ respond: { status: 200, body: ok } }]
`;

const isFood = ({ fields }: Notification) => fields['WATCHDOG'] === '1';

describe('the service manager', () => {
  for (const { kind, addressIn } of [
    { kind: 'a path', addressIn: (folder: string) => join(folder, 'notify') },
    { kind: 'an abstract name', addressIn: () => `@sluice-test-${randomUUID()}` },
  ]) {
    test(`is told over ${kind} when everything serves, and when it ends`, async (t) => {
      const manager = notifySocket(t, addressIn(folderOf(t)));
      const sluice = await startSluice(t, service('127.0.0.1:0'), {
        env: { NOTIFY_SOCKET: manager.address },
      });

      const { fields } = await manager.hears(({ READY }) => READY === '1');
      assert.equal(fields['MAINPID'], String(sluice.pid));
      assert.match(fields['STATUS'] ?? '', /serving with 1 workers?/);
      assert.equal((await sluice.get('/')).status, 200);

      sluice.process.kill('SIGTERM');
      await manager.hears(({ STOPPING }) => STOPPING === '1');
      assert.equal((await sluice.ended).code, 0);
    });
  }

  test('is told when a reload begins and when it is over, by its clock', async (t) => {
    const manager = notifySocket(t, join(folderOf(t), 'notify'));
    const sluice = await startSluice(t, service('127.0.0.1:0'), {
      env: { NOTIFY_SOCKET: manager.address },
    });
    await manager.hears(({ READY }) => READY === '1');
    const before = process.hrtime.bigint() / 1_000n;

    writeFileSync(sluice.conf, 'version: 1\nservices: nonsense\n');
    sluice.process.kill('SIGHUP');

    const { fields } = await manager.hears(({ RELOADING }) => RELOADING === '1');
    const at = BigInt(fields['MONOTONIC_USEC'] ?? 0);
    assert.ok(at >= before && at <= process.hrtime.bigint() / 1_000n);
    const readies = () => manager.heard.filter(({ fields: { READY } }) => READY === '1').length;
    await manager.hears(() => readies() === 2);
  });

  test('gets its watchdog fed, in half of its time', async (t) => {
    const manager = notifySocket(t, join(folderOf(t), 'notify'));
    await startSluice(t, service('127.0.0.1:0'), {
      env: { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '200000' },
    });

    const fed = () => manager.heard.filter(isFood).length;
    await manager.hears(() => fed() >= 3);
  });

  test('does not get its watchdog fed while no worker is ready', async (t) => {
    const manager = notifySocket(t, join(folderOf(t), 'notify'));
    // Fed every hundredth of a second: a new worker needs longer to start.
    const sluice = await startSluice(t, service('127.0.0.1:0'), {
      env: { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '20000' },
    });
    const [worker] = (await sluice.status()).workers;

    process.kill(worker!.pid, 'SIGKILL');
    await sluice.logged(({ msg }) => msg === 'no worker is ready: the watchdog is not fed');

    await sluice.replaced(worker!.pid);
    const before = manager.heard.length;
    await manager.hears(() => manager.heard.slice(before).some(isFood));
  });

  test('is told of the successor by the main process, and then by the successor itself', async (t) => {
    const folder = folderOf(t);
    const manager = notifySocket(t, join(folder, 'notify'));
    const pidFile = join(folder, 'sluice.pid');
    const sluice = await startSluice(t, service('127.0.0.1:0', `pid_file: ${pidFile}`), {
      env: { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '200000' },
    });
    await manager.hears(({ READY }) => READY === '1');

    const gone = once(sluice.process, 'exit');
    const upgrade = await launch(t, ['upgrade', '-c', sluice.conf]).ended;
    assert.equal(upgrade.code, 0, upgrade.stderr);
    const successor = Number(readFileSync(pidFile, 'utf8'));

    assert.notEqual(successor, sluice.pid);
    await manager.hears(({ READY, MAINPID }) => READY === '1' && MAINPID === String(successor));
    await gone;
    const mains = manager.heard.flatMap(({ fields: { MAINPID = [] } }) => MAINPID);
    assert.deepEqual([...new Set(mains)], [String(sluice.pid), String(successor)]);
    assert.ok(!manager.heard.some(({ fields }) => fields['STOPPING'] === '1'));
    const stored = manager.heard.flatMap(({ fields: { FDSTORE, FDNAME = '' } }) =>
      FDSTORE === '1' ? [FDNAME] : [],
    );
    assert.equal(new Set(stored).size, stored.length, 'what is kept already is not sent again');
    const fed = () => manager.heard.filter(({ fields }) => fields['WATCHDOG'] === '1').length;
    const before = fed();
    await manager.hears(() => fed() > before);
    // It holds what the first process printed to, which the end of the test waits for.
    process.kill(successor, 'SIGINT');
  });

  test('that does not listen keeps nothing from running', async (t) => {
    const sluice = await startSluice(t, service('127.0.0.1:0'), {
      env: { NOTIFY_SOCKET: join(folderOf(t), 'nobody') },
    });

    assert.equal((await sluice.get('/')).status, 200);
    await sluice.logged(({ msg }) => msg === 'service manager not told');
  });

  test('keeps sockets and limits, so that a killed supervisor refuses nobody and forgets nothing', async (t) => {
    const manager = notifySocket(t, join(folderOf(t), 'notify'));
    const port = await closedPort();
    const yaml = `
      services:
        - name: edge
          listen: [127.0.0.1:${port}]
          routes: [{ rate_limit: { rate: 1/h, burst: 1 }, respond: { status: 200, body: ok } }]
    `;
    const env = { NOTIFY_SOCKET: manager.address };
    const first = await startSluice(t, yaml, { env, threads: 2 });
    const stored = () => manager.heard.filter(({ fields }) => fields['FDSTORE'] === '1');
    await manager.hears(
      ({ FDNAME = '' }) => FDNAME.startsWith('sluice.memory') && /limit/.test(FDNAME),
    );
    assert.equal((await first.get('/')).status, 200);
    assert.equal((await first.get('/')).status, 429);

    const { workers } = await first.status();
    const died = new Promise((resolve) => first.process.once('exit', resolve));
    for (const pid of [first.pid, ...workers.map((each) => each.pid)]) process.kill(pid, 'SIGKILL');
    await died;
    // Not refused: it waits in the socket that the service manager holds.
    const waiting = get(port, '/');
    const passed = stored().map(({ fields, descriptors: [fd = -1] }) => ({
      name: fields['FDNAME'] ?? '',
      fd,
    }));
    const second = await startSluice(t, yaml, { env, threads: 2, passed });

    assert.equal((await waiting).status, 429);
    assert.equal(second.port, port);
  });
});

describe('sockets that the service manager has opened', () => {
  for (const { by, name, listenAt } of [
    { by: 'by their address', name: 'web', listenAt: (port: number) => `127.0.0.1:${port}` },
    { by: 'by the name of the service', name: 'edge', listenAt: () => '127.0.0.1:1' },
  ]) {
    test(`are found ${by}, and all workers accept on them`, async (t) => {
      const listener = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => listener.once('listening', resolve));
      const { port } = listener.address() as AddressInfo;
      // Listening goes on, but this process must not accept what is meant for the other one.
      const libc = openLibc() as Libc;
      const fd = libc.dup((listener as unknown as { _handle: { fd: number } })._handle.fd);
      t.after(() => libc.close(fd));
      listener.close();

      const sluice = await startSluice(t, service(listenAt(port)), {
        passed: [{ name, fd }],
        threads: 2,
      });

      assert.equal(sluice.port, port);
      assert.equal((await get(port, '/')).body, 'ok');
    });
  }

  test('and that nobody wants are closed, with their names in the log', async (t) => {
    const libc = openLibc() as Libc;
    const fd = libc.boundSocket('127.0.0.1', 0);
    libc.listen(fd, 1);
    t.after(() => libc.close(fd));

    const sluice = await startSluice(t, service('127.0.0.1:0'), {
      passed: [{ name: 'metrics', fd }],
    });

    const { unused } = (await sluice.logged(({ msg }) => /no listener wants/.test(msg ?? ''))) as {
      unused?: string[];
    };
    assert.deepEqual(unused, [`metrics (127.0.0.1:${libc.socketPort(fd)})`]);
  });
});

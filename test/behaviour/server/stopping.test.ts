import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  launch,
  rawClient,
  rawPeer,
  startPeer,
  startSluice,
  temporaryFile,
} from '../../support/index.ts';

const HANGS = fileURLToPath(new URL('programs/worker-hangs.ts', import.meta.url));

const gatewayTo = (address: string, more = '') => `
  ${more}
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

describe('TERM', () => {
  test('lets a running request finish, refuses new connections, and ends with 0', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });
    const running = sluice.get('/slow');
    const connection = await peer.nextConnection();
    await connection.receives(/slow/);

    sluice.process.kill('SIGTERM');
    await sluice.logged(({ msg, signal }) => msg === 'signal received' && signal === 'SIGTERM');
    await sluice.refusing();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');

    assert.equal((await running).body, 'done');
    const { code, signal } = await sluice.ended;
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
  });

  test('tells a client that keeps its connection to close it', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const connection = await peer.nextConnection();
    await connection.receives(/\r\n\r\n$/);

    sluice.process.kill('SIGTERM');
    await sluice.refusing();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');

    assert.match(await client.closed(), /\r\nConnection: close\r\n/);
  });

  test('followed by another one stops at once', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const running = sluice.get('/never');
    const cut = assert.rejects(running, { code: 'ECONNRESET' });
    const connection = await peer.nextConnection();
    await connection.receives(/never/);

    sluice.process.kill('SIGTERM');
    await sluice.logged(({ msg }) => msg === 'signal received');
    sluice.process.kill('SIGTERM');

    await cut;
    assert.equal((await sluice.ended).code, 0);
  });

  test('cuts what is not done after the grace period', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, 'grace_period_seconds: 1\n  graceful_shutdown_timeout_seconds: 1'),
    );
    const cut = assert.rejects(sluice.get('/never'), { code: 'ECONNRESET' });
    await (await peer.nextConnection()).receives(/never/);

    sluice.process.kill('SIGTERM');

    await cut;
    assert.equal((await sluice.ended).code, 0);
  });
});

describe('INT', () => {
  test('stops at once, and no worker is left', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });
    const { workers } = await sluice.status();

    sluice.process.kill('SIGINT');

    assert.equal((await sluice.ended).code, 0);
    for (const { pid } of workers) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });
});

test('QUIT is refused in the log as long as no successor waits, and changes nothing', async (t) => {
  const peer = await startPeer(t);
  const sluice = await startSluice(t, gatewayTo(peer.address));

  sluice.process.kill('SIGQUIT');
  await sluice.logged(({ msg, signal }) => signal === 'SIGQUIT' && /refused/.test(msg ?? ''));

  assert.equal((await sluice.get('/')).status, 200);
});

describe('during the start', () => {
  const starting = async (t: TestContext) => {
    const conf = temporaryFile(t, 'conf.yaml', 'version: 1\n');
    const running = launch(t, ['-c', conf, '--threads', '2'], { program: HANGS });
    const hanging = () => running.logs.filter(({ msg }) => msg === 'hanging');
    await running.until(() => (hanging().length === 2 ? true : undefined), 'both workers');
    return { running, workers: hanging().map(({ pid }) => Number(pid)) };
  };
  const orders: { signals: NodeJS.Signals[]; name: string }[] = [
    { name: 'INT stops at once', signals: ['SIGINT'] },
    { name: 'a second TERM stops at once', signals: ['SIGTERM', 'SIGTERM'] },
    { name: 'INT goes before all that waits', signals: ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGINT'] },
    { name: 'INT after TERM stops at once', signals: ['SIGTERM', 'SIGINT'] },
  ];
  for (const { name, signals } of orders) {
    test(`${name}, and no worker is left`, async (t) => {
      const { running, workers } = await starting(t);

      for (const signal of signals) {
        running.process.kill(signal);
        await running.logged(({ signal: of }) => of === signal);
      }

      const { code, signal } = await running.ended;
      assert.deepEqual({ code, signal }, { code: 0, signal: null });
      for (const pid of workers) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    });
  }
});

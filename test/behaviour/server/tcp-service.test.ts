import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  edge,
  eventually,
  launch,
  pemFiles,
  rawClient,
  startSluice,
  temporaryFile,
  tlsClient,
  turnedAway,
  type Sluice,
} from '../../support/index.ts';
import { overSocket } from '../../support/raw.ts';

const program = fileURLToPath(new URL('programs/streams.ts', import.meta.url));
const echo = fileURLToPath(new URL('../../../examples/echo/main.ts', import.meta.url));

const open = 'sluice_connections_open{service="tcp"}';

describe('a TCP service', () => {
  test('has a stream for each connection: plain, over TLS, on a Unix socket', async (t) => {
    const { cert, key } = pemFiles(t, edge);
    const unix = join(temporaryFolder(t), 'tcp.sock');
    const own = `cert: ${cert}\nkey: ${key}\nunix: ${unix}`;
    const sluice = await startSluice(t, own, { program, threads: 2 });

    const plain = await rawClient(t, sluice.port);
    plain.send('who\n');
    await plain.receives(/^127\.0\.0\.1 plain\n$/);
    const secured = await tlsClient(t, sluice.addresses[2]!.port, { ALPNProtocols: ['mine'] });
    secured.send('who\n');
    await secured.receives(/^127\.0\.0\.1 TLSv1\.3\n$/);
    const socket = connect(unix);
    t.after(() => socket.destroy());
    const local = overSocket(socket);
    local.send('who\n');
    await local.receives(/^unix: plain\n$/);
    assert.equal(await sluice.metric(open), 3);
    const handshakes = 'sluice_tls_handshakes_total{service="tcp",result="done"}';
    assert.equal(await sluice.metric(handshakes), 1);
  });

  test('sends what a slow client takes, all of it, and ends when both sides have', async (t) => {
    const unix = join(temporaryFolder(t), 'tcp.sock');
    const sluice = await startSluice(t, `unix: ${unix}`, { program });
    const local = connect({ path: unix, allowHalfOpen: true });
    t.after(() => local.destroy());
    const clients = [await rawClient(t, sluice.port), overSocket(local)];

    for (const client of clients) {
      client.send('large\n');
      await client.receives(/x/);
      client.socket.pause();
      // The end of what we send comes first, so theirs is the last.
      client.socket.end();
      await reaches(sluice, open, clients.length - clients.indexOf(client));
      client.socket.resume();
      assert.equal((await client.closed()).length, 8 * 1024 * 1024);
      await reaches(sluice, open, clients.length - clients.indexOf(client) - 1);
    }
    const sent = 'sluice_response_bytes_total{service="tcp"}';
    await reaches(sluice, sent, clients.length * 8 * 1024 * 1024);
    const read = 'sluice_request_bytes_total{service="tcp"}';
    assert.equal(await sluice.metric(read), clients.length * 'large\n'.length);
  });

  test('resets the connection whose handler throws, says so, and lives', async (t) => {
    const sluice = await startSluice(t, '', { program });
    const client = await rawClient(t, sluice.port);
    client.send('throw\n');
    assert.equal(await client.closed(), '');

    const line = await sluice.logged(({ msg }) => msg === 'the handler of a connection threw');
    assert.equal(line['service'], 'tcp');
    assert.equal(line['client'], '127.0.0.1');
    assert.match(JSON.stringify(line['err']), /made for the test/);
    const other = await rawClient(t, sluice.port);
    other.send('bye\n');
    assert.equal(await other.closed(), 'bye\n');
    assert.equal((await sluice.status()).restarts, 0);
  });

  test('outlives clients that reset their connections', async (t) => {
    const sluice = await startSluice(t, '', { program });
    for (const sent of ['', 'who\n', 'large\n']) {
      const client = await rawClient(t, sluice.port);
      client.send(sent);
      await reaches(sluice, open, 1);
      client.socket.resetAndDestroy();
      await reaches(sluice, open, 0);
    }
    assert.equal((await sluice.status()).restarts, 0);
  });

  test('has no more connections than it was told, of all clients and of one', async (t) => {
    for (const limit of ['maxConnections', 'maxConnectionsPerClient']) {
      const sluice = await startSluice(t, `limits: { ${limit}: 2 }`, { program });
      const clients = [await rawClient(t, sluice.port), await rawClient(t, sluice.port)];
      for (const client of clients) client.send('who\n');
      for (const client of clients) await client.receives(/plain/);

      assert.equal(await turnedAway(t, sluice.port), '', limit);
      clients[0]!.socket.destroy();
      await reaches(sluice, open, 1);
      const next = await rawClient(t, sluice.port);
      next.send('who\n');
      await next.receives(/plain/);
    }
  });

  test('closes a connection on which nothing has moved for its idle time', async (t) => {
    const sluice = await startSluice(t, 'idleTimeoutMs: 300', { program });
    const client = await rawClient(t, sluice.port);
    client.send('who\n');

    assert.equal(await client.closed(), '127.0.0.1 plain\n');
    await reaches(sluice, open, 0);
  });

  test('tells handlers that the worker drains, and waits for their connections', async (t) => {
    const sluice = await startSluice(t, '', { program });
    const client = await rawClient(t, sluice.port);
    client.send('who\n');
    await client.receives(/plain/);
    sluice.process.kill('SIGTERM');
    await client.receives(/the worker drains/);
    await sluice.refusing();
    client.socket.end();

    assert.equal((await sluice.ended).code, 0);
  });

  test('cuts what is left after the grace period', async (t) => {
    const sluice = await startSluice(t, 'grace_period_seconds: 1', { program });
    const client = await rawClient(t, sluice.port);
    client.send('who\n');
    await client.receives(/plain/);
    sluice.process.kill('SIGTERM');

    await client.closed();
    assert.equal((await sluice.ended).code, 0);
  });

  const wrong = [
    {
      own: 'misspelt: { idelTimeoutMs: 5 }',
      says: /"idelTimeoutMs"; did you mean "idleTimeoutMs"/,
    },
    {
      own: 'misspelt: { maxConnections: 0 }',
      says: /maxConnections: expected a whole number above 0/,
    },
  ];
  for (const { own, says } of wrong) {
    test(`is refused with ${own}`, async (t) => {
      const conf = temporaryFile(t, 'conf.yaml', `version: 1\n${own}\n`);
      const { code, stderr } = await launch(t, ['-c', conf], { program }).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

test('the echo example sends back what it gets, and says how much that was', async (t) => {
  const env = { LISTEN: '127.0.0.1:0' };
  const running = launch(t, ['--threads', '2'], { program: echo, env });
  const serving = await running.logged(({ msg }) => msg === 'serving');
  const [{ port }] = serving['addresses'] as [{ port: number }];
  const client = await rawClient(t, port);
  client.send('hello\n');
  await client.receives(/^hello\n$/);
  client.socket.end('and bye\n');

  assert.equal(await client.closed(), 'hello\nand bye\n');
  const line = await running.logged(({ msg }) => msg === 'echoed');
  assert.deepEqual([line['service'], line['bytes']], ['echo', 14]);
});

async function reaches(sluice: Sluice, series: string, value: number): Promise<void> {
  await eventually(
    async () => ((await sluice.metric(series)) === value ? true : undefined),
    `${series} to be ${value}`,
  );
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tcp-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

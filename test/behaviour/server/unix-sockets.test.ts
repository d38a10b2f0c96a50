import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually, launch, rawPeer, startPeer, startSluice } from '../../support/index.ts';
import { temporaryFile } from '../../support/index.ts';
import { overSocket } from '../../support/raw.ts';

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-unix-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'edge.sock');
}

const services = (listen: string, peer = '127.0.0.1:1') => `
  upstreams: { api: { peers: ['${peer}'] } }
  services:
    - name: edge
      listen: [${listen}]
      routes: [{ upstream: api }]
`;

function client(t: TestContext, path: string) {
  const socket = connect({ path, allowHalfOpen: true });
  t.after(() => socket.destroy());
  return overSocket(socket);
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('a Unix socket', () => {
  test('is served beside an address, by several workers, and goes with the end', async (t) => {
    const path = socketPath(t);
    const peer = await startPeer(t);
    const sluice = await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`, peer.address), {
      threads: 2,
    });

    const clients = Array.from({ length: 8 }, () => client(t, path));
    for (const each of clients) each.send(GET);
    for (const each of clients) await each.receives(/hello from/);
    assert.equal((await sluice.get('/')).status, 200);
    assert.equal(await sluice.metric('sluice_connections_open{service="edge"}'), 8);
    assert.equal(statSync(path).mode & 0o777, 0o660);
    assert.deepEqual(sluice.addresses[1], { service: 'edge', path });

    sluice.process.kill('SIGTERM');
    await sluice.ended;
    assert.equal(existsSync(path), false);
  });

  test('is served on by the other worker when one dies', async (t) => {
    const path = socketPath(t);
    const peer = await startPeer(t);
    const sluice = await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`, peer.address), {
      threads: 2,
    });
    const [victim] = (await sluice.status()).workers;

    process.kill(victim!.pid, 'SIGKILL');
    const during = client(t, path);
    during.send(GET);
    await during.receives(/hello from/);
    await sluice.replaced(victim!.pid);

    const after = client(t, path);
    after.send(GET);
    await after.receives(/hello from/);
  });

  test('carries large bodies, keeps order, and ends a broken answer', async (t) => {
    const path = socketPath(t);
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`, peer.address));
    const unix = client(t, path);
    const body = 'x'.repeat(4 * 1024 * 1024);

    unix.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const upstream = await peer.nextConnection();
    const ends = (received: () => string) => async () =>
      received().endsWith(`\r\n\r\n${body}`) ? true : undefined;
    await eventually(
      ends(() => upstream.received),
      'the whole request',
    );
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await eventually(
      ends(() => unix.received),
      'the whole answer',
    );

    unix.send(GET);
    await upstream.receives(/GET \/ HTTP\/1\.1/);
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this');
    await unix.receives(/only this$/);
    upstream.socket.destroy();

    await unix.closed();
    assert.equal((await sluice.status()).restarts, 0, 'a reset that is none harms nobody');
  });

  test('has the mode that was asked for', async (t) => {
    const path = socketPath(t);
    const listen = `127.0.0.1:0, { address: 'unix:${path}', mode: "0600" }`;
    await startSluice(t, services(listen));

    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('whose file was left behind by a killed process is made anew', async (t) => {
    const path = socketPath(t);
    const first = await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`));
    const { workers } = await first.status();
    first.process.kill('SIGKILL');
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await first.ended;
    assert.equal(existsSync(path), true);

    const peer = await startPeer(t);
    await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`, peer.address));

    const unix = client(t, path);
    unix.send(GET);
    await unix.receives(/hello from/);
  });

  test('that another process listens on stops the start, and stays', async (t) => {
    const path = socketPath(t);
    const stranger = createServer().listen(path);
    await new Promise((resolve) => stranger.once('listening', resolve));
    t.after(() => stranger.close());
    const conf = temporaryFile(
      t,
      'c.yaml',
      `version: 1${services(`'unix:${path}'`).replace(/^ {2}/gm, '')}`,
    );

    const { code, stderr } = await launch(t, ['-c', conf, '--threads', '1']).ended;

    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`service "edge" cannot listen on unix:${path}: another process listens there`),
    );
    const still = connect(path);
    t.after(() => still.destroy());
    await new Promise((resolve, reject) => still.once('connect', resolve).once('error', reject));
  });

  test('does not take the place of a file', async (t) => {
    const path = socketPath(t);
    writeFileSync(path, 'precious');
    const conf = temporaryFile(
      t,
      'c.yaml',
      `version: 1${services(`'unix:${path}'`).replace(/^ {2}/gm, '')}`,
    );

    const { code, stderr } = await launch(t, ['-c', conf, '--threads', '1']).ended;

    assert.equal(code, 1);
    assert.match(stderr, /there is a file of that name, and it is not a socket/);
    assert.equal(existsSync(path), true);
  });

  test('can be added in code', async () => {
    const { httpProxyService, HttpPeer } = await import('sluice');
    const peer = new HttpPeer('127.0.0.1:1');
    const service = httpProxyService({ upstreamPeer: () => peer });

    service.addUnix('/run/x.sock').addUnix('/run/y.sock', { mode: 0o600 });

    assert.deepEqual(
      service.listen.map(({ place }) => place),
      [
        { path: '/run/x.sock', mode: 0o660 },
        { path: '/run/y.sock', mode: 0o600 },
      ],
    );
    assert.throws(() => service.addUnix(''), { name: 'TypeError' });
    assert.throws(() => service.addUnix('/x', { mode: 660.5 }), { name: 'TypeError' });
  });
});

describe('two listeners on one address', () => {
  test('of two services in a program stop the start', async (t) => {
    const { fileURLToPath } = await import('node:url');
    const program = fileURLToPath(new URL('programs/one-address.ts', import.meta.url));
    const pairs = [
      ['127.0.0.1:6188', '127.0.0.1:6188', 'service "one" listens on 127.0.0.1:6188 already'],
      ['0.0.0.0:6188', '127.0.0.1:6188', 'service "one" listens on 0.0.0.0:6188 already'],
    ] as const;
    for (const [one, two, says] of pairs) {
      const conf = temporaryFile(t, 'c.yaml', `version: 1\none: '${one}'\ntwo: '${two}'\n`);

      const { code, stderr } = await launch(t, ['-c', conf], { program }).ended;

      assert.equal(code, 1);
      assert.equal(stderr, `one-address: service "two" cannot listen on ${two}: ${says}\n`);
    }
  });

  test('in a file stop the check, with the place', async (t) => {
    const yaml = `version: 1
admin: { listen: '127.0.0.1:9180' }
services:
  - { listen: ['0.0.0.0:6188', 'unix:/run/a.sock'], routes: [{ respond: { status: 200 } }] }
  - { listen: ['127.0.0.1:6188', 'unix:/run/a.sock', '127.0.0.1:9180'], routes: [{ respond: { status: 200 } }] }
`;
    const conf = temporaryFile(t, 'c.yaml', yaml);

    const { code, stderr } = await launch(t, ['-t', '-c', conf]).ended;

    assert.equal(code, 1);
    for (const says of [
      '5:16: services[1].listen[0]: 0.0.0.0:6188 is listened on already',
      '5:34: services[1].listen[1]: unix:/run/a.sock is listened on already',
      '5:54: services[1].listen[2]: 127.0.0.1:9180 is listened on already',
    ])
      assert.ok(stderr.includes(says), stderr);
  });
});

test('an answer over a Unix socket says nothing of an address to the peer', async (t) => {
  const path = socketPath(t);
  const peer = await startPeer(t);
  await startSluice(t, services(`127.0.0.1:0, 'unix:${path}'`, peer.address));

  await new Promise<void>((resolve, reject) => {
    const asked = request({ socketPath: path, path: '/' }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    asked.on('error', reject);
    asked.end();
  });

  assert.equal(peer.requests[0]!.headers['x-forwarded-for'], 'unix:');
});

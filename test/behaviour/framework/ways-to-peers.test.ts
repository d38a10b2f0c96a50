import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  authority,
  closedPort,
  makeCertificate,
  rawPeer,
  startConnectProxy,
  startPeer,
  startSluice,
  startTlsPeer,
  temporaryFile,
} from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/ways-to-peers.ts', import.meta.url));

const tellsWhatItSaw = (request: IncomingMessage, response: ServerResponse) =>
  void response
    .setHeader('x-way', String(request.headers['x-way']))
    .end(String(request.headers['x-peer']));

const named = makeCertificate({ commonName: 'api.test', issuer: authority });

test('a peer behind a proxy', async (t) => {
  const peer = await startPeer(t, tellsWhatItSaw);
  const tlsPeer = await startTlsPeer(t, named, tellsWhatItSaw);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const open = await startConnectProxy(t);
  const local = await startConnectProxy(t, { where: join(folder, 'proxy.sock') });
  const guarded = await startConnectProxy(t, {
    refusal: (_target, headers) =>
      headers['proxy-authorization'] === `Basic ${Buffer.from('me:secret').toString('base64')}`
        ? undefined
        : 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Status: p; error=no-cred\r\nContent-Length: 0\r\n\r\n',
  });
  const answering = (text: string) => startConnectProxy(t, { refusal: () => text });
  const babbling = await answering('HTTP/1.1 200 OK\r\n\r\nI was not asked');
  const nonsense = await answering('220 mail.example ESMTP\r\n');
  const endless = await answering('HTTP/1.1 100 Continue\r\n\r\n'.repeat(20));
  const switching = await answering('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  const silent = await rawPeer(t);
  const closing = await rawPeer(t);
  const closed = `127.0.0.1:${await closedPort()}`;
  const ca = temporaryFile(t, 'ca.pem', authority.cert);
  const tls = `tls: true, sni: api.test, ca: '${ca}'`;
  const yaml = `
    peers:
      - { address: '${peer.address}', proxy: { address: '${open.address}', headers: { x-tenant: a } } }
      - { address: '${tlsPeer.address}', proxy: { address: '${open.address}' }, ${tls} }
      - { address: '${peer.address}', proxy: { address: '${local.address}' } }
      - address: '${peer.address}'
        proxy: { address: '${guarded.address}', credentials: { username: me, password: secret } }
      - { address: '${peer.address}', proxy: { address: '${guarded.address}' } }
      - { address: '${peer.address}', proxy: { address: '${babbling.address}' } }
      - { address: '${peer.address}', proxy: { address: '${nonsense.address}' } }
      - { address: '${peer.address}', proxy: { address: '${endless.address}' } }
      - { address: '${peer.address}', proxy: { address: '${closed}' } }
      - { address: '${peer.address}', proxy: { address: '${silent.address}' }, connectTimeoutMs: 150 }
      - { address: '${peer.address}', proxy: { address: '${closing.address}' } }
      - { address: '${peer.address}', proxy: { address: '${switching.address}' } }
      - address: '${tlsPeer.address}'
        proxy: { address: '${silent.address}' }
        totalConnectTimeoutMs: 150
  `;
  const sluice = await startSluice(t, yaml, { program });

  await t.test('is asked through it, and the connection is kept', async () => {
    const first = await sluice.get('/0');
    assert.deepEqual([first.body, first.headers['x-way']], [`${peer.address} new`, '127.0.0.1']);
    assert.equal((await sluice.get('/0')).body, `${peer.address} reused`);
    assert.equal(open.asked.length, 1);
    const { target, headers } = open.asked[0]!;
    assert.equal(target, peer.address);
    assert.deepEqual([headers.host, headers['x-tenant']], [peer.address, 'a']);
  });

  await t.test('is spoken to in TLS through it, and verified', async () => {
    const before = open.asked.length;
    const first = await sluice.get('/1');
    assert.equal(first.body, `${tlsPeer.address} new`);
    assert.equal(first.headers['x-way'], '127.0.0.1 TLSv1.3 http/1.1 api.test');
    assert.equal((await sluice.get('/1')).body, `${tlsPeer.address} reused`);
    assert.equal(open.asked.length, before + 1);
    assert.equal(open.asked.at(-1)!.target, tlsPeer.address);
  });

  await t.test('may have it on a Unix socket', async () => {
    const { body, headers } = await sluice.get('/2');
    assert.deepEqual([body, headers['x-way']], [`${peer.address} new`, 'unix:']);
    assert.equal(local.asked[0]!.target, peer.address);
  });

  await t.test('may have one that wants to know who asks', async () => {
    assert.equal((await sluice.get('/3')).body, `${peer.address} new`);
  });

  const failures = [
    {
      name: 'that refuses',
      target: '/4',
      says: `upstream/proxy-refused: ${peer.address}: proxy ${guarded.address} answered 407 Proxy Authentication Required (Proxy-Status: p; error=no-cred)`,
    },
    {
      name: 'that speaks where the peer should',
      target: '/5',
      says: `upstream/proxy-refused: ${peer.address}: proxy ${babbling.address} sent bytes that the peer was not asked for`,
    },
    {
      name: 'that is none',
      target: '/6',
      says: `upstream/proxy-refused: ${peer.address}: proxy ${nonsense.address} sent what is no answer: expected a status line such as "HTTP/1.1 200 OK", got byte 0x32`,
    },
    {
      name: 'that goes on and on',
      target: '/7',
      says: `upstream/proxy-refused: ${peer.address}: proxy ${endless.address} sent interim responses without end`,
    },
    {
      name: 'that is not there',
      target: '/8',
      says: `upstream/connect-refused: ${peer.address}: proxy ${closed}: connect ECONNREFUSED`,
    },
    {
      name: 'that changes the protocol',
      target: '/11',
      says: `upstream/proxy-refused: ${peer.address}: proxy ${switching.address} answered 101 to a CONNECT`,
    },
  ];
  for (const { name, target, says } of failures) {
    await t.test(`is a 502 with one ${name}`, async () => {
      const seen = peer.requests.length;
      assert.equal((await sluice.get(target)).status, 502);
      const line = await sluice.logged(({ request }) =>
        String(request).startsWith(`GET ${target},`),
      );
      assert.equal((line['err'] as { message: string }).message, says);
      assert.equal(peer.requests.length, seen);
    });
  }

  await t.test('is a 502 with one that closes without an answer', async () => {
    const answer = sluice.get('/10');
    for (let attempt = 0; attempt < 3; attempt++) {
      const connection = await closing.nextConnection();
      await connection.receives(/^CONNECT [^]*\r\n\r\n$/);
      connection.socket.end();
    }
    assert.equal((await answer).status, 502);
    await sluice.logged(({ err }) => /closed without an answer/.test(JSON.stringify(err)));
  });

  const waits = [
    { target: '/9', says: 'no answer of the proxy within 150 ms' },
    { target: '/12', says: 'no answer of the proxy within 150 ms in all' },
  ];
  for (const { target, says } of waits) {
    await t.test(`is a 504 with one that says nothing: ${target}`, async () => {
      assert.equal((await sluice.get(target)).status, 504);
      const line = await sluice.logged(({ request }) =>
        String(request).startsWith(`GET ${target},`),
      );
      const { message } = line['err'] as { message: string };
      assert.ok(message.startsWith('upstream/connect-timeout: '), message);
      assert.ok(message.endsWith(says), message);
    });
  }
});

test('a peer with a connector of the program’s own', async (t) => {
  const peer = await startPeer(t, tellsWhatItSaw);
  const tlsPeer = await startTlsPeer(t, named, tellsWhatItSaw);
  const ca = temporaryFile(t, 'ca.pem', authority.cert);
  const yaml = `
    peers:
      - { address: 'nowhere:1', connector: in memory }
      - { address: '${peer.address}', connector: to the same address }
      - address: '${tlsPeer.address}'
        connector: to the same address
        tls: true
        sni: api.test
        ca: '${ca}'
      - { address: 'nowhere:1', connector: fails }
      - { address: 'nowhere:1', connector: is no stream }
      - { address: 'nowhere:1', connector: is closed }
      - { address: 'nowhere:1', connector: never, connectTimeoutMs: 150 }
      - { address: '127.0.0.1:${await closedPort()}', connector: to the same address }
      - { address: '${peer.address}', connector: in a wrapping }
      - address: '${tlsPeer.address}'
        connector: in a wrapping
        tls: true
        sni: api.test
        ca: '${ca}'
  `;
  const sluice = await startSluice(t, yaml, { program });
  const times = (msg: string) => sluice.logs.filter((line) => line.msg === msg).length;

  await t.test('is asked over any stream, which is kept for the next request', async () => {
    for (let n = 0; n < 3; n++) assert.equal((await sluice.get('/0')).body, 'in memory');
    assert.equal(times('the connector was asked'), 1);
  });

  await t.test('is asked over a socket that was not connected yet', async () => {
    assert.equal((await sluice.get('/1')).body, `${peer.address} new`);
    assert.equal((await sluice.get('/1')).body, `${peer.address} reused`);
  });

  await t.test('is spoken to in TLS over it', async () => {
    assert.equal((await sluice.get('/2')).body, `${tlsPeer.address} new`);
  });

  for (const [target, address] of [
    ['/8', peer.address],
    ['/9', tlsPeer.address],
  ] as const) {
    await t.test(
      `is asked, and asked again, over a stream that is no socket: ${target}`,
      async () => {
        assert.equal((await sluice.get(target)).body, `${address} new`);
        assert.equal((await sluice.get(target)).body, `${address} reused`);
      },
    );
  }

  const failures = [
    { target: '/3', says: /^upstream\/connect-failed: nowhere:1: made for the test$/ },
    { target: '/4', says: /connect-failed: .*expected a Duplex stream, got nonsense$/ },
    { target: '/5', says: /connect-failed: .*the stream that it made is closed already$/ },
    { target: '/7', says: /upstream\/connect-refused: .*ECONNREFUSED/ },
  ];
  for (const { target, says } of failures) {
    await t.test(`is a 502 if it fails: ${target}`, async () => {
      assert.equal((await sluice.get(target)).status, 502);
      const line = await sluice.logged(({ request }) =>
        String(request).startsWith(`GET ${target},`),
      );
      assert.match((line['err'] as { message: string }).message, says);
    });
  }

  await t.test('is a 504 if it takes too long, and is told that nobody waits', async () => {
    assert.equal((await sluice.get('/6')).status, 504);
    await sluice.until(
      () => (times('the connector was stopped') === 3 ? true : undefined),
      'three connectors that were stopped',
    );
  });
});

test('a configuration file says how the peers of an upstream are reached', async (t) => {
  const peer = await startPeer(
    t,
    (request, response) => void response.end(`from ${request.socket.remoteAddress}`),
  );
  const tlsPeer = await startTlsPeer(t, named);
  const proxy = await startConnectProxy(t);
  const ca = temporaryFile(t, 'ca.pem', authority.cert);
  const sluice = await startSluice(
    t,
    `
    client_bind_to_ipv4: [127.0.0.7]
    upstreams:
      common: { peers: ['${peer.address}'] }
      bound: { peers: ['${peer.address}'], bind_to_ipv4: 127.0.0.9, tcp_keepalive: { idle: 5s } }
      behind:
        peers: ['${peer.address}']
        health_check: { type: tcp, interval: 100ms }
        proxy:
          address: '${proxy.address}'
          username: me
          password: $PROXY_PASSWORD
          headers: { x-tenant: a }
      system: { peers: ['${tlsPeer.address}'], tls: { sni: api.test, system_certs: true } }
      strange:
        peers: ['${tlsPeer.address}']
        tls: { sni: other.test, alternative_name: api.test, ca: '${ca}' }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes:
          - { match: { path: /bound }, upstream: bound }
          - { match: { path: /behind }, upstream: behind }
          - { match: { path: /system }, upstream: system }
          - { match: { path: /strange }, upstream: strange }
          - { upstream: common }
  `,
    // Where OpenSSL looks for the authorities of the system.
    { env: { PROXY_PASSWORD: 'secret', SSL_CERT_FILE: ca } },
  );

  assert.equal((await sluice.get('/')).body, 'from 127.0.0.7');
  assert.equal((await sluice.get('/bound')).body, 'from 127.0.0.9');
  assert.equal((await sluice.get('/behind')).body, 'from 127.0.0.1');
  assert.equal((await sluice.get('/system')).body, 'hello over TLS');
  assert.equal((await sluice.get('/strange')).body, 'hello over TLS');
  for (const { target, headers } of proxy.asked) {
    assert.equal(target, peer.address);
    assert.equal(headers['x-tenant'], 'a');
    const credentials = Buffer.from('me:secret').toString('base64');
    assert.equal(headers['proxy-authorization'], `Basic ${credentials}`);
  }
  assert.ok(proxy.asked.length > 0);
});

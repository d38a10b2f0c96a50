import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { SecureVersion } from 'node:tls';
import { edge, eventually, getTls, pemFiles, rawClient, rawPeer } from '../../support/index.ts';
import { startPeer, startSluice, tlsClient } from '../../support/index.ts';

/** A gateway with TLS on its first listener and plain TCP on its second. */
function gateway(t: TestContext, peer: string, more = '') {
  const { cert, key } = pemFiles(t, edge);
  return startSluice(
    t,
    `
    log: { level: debug }
    upstreams: { api: { peers: ['${peer}'] } }
    services:
      - name: edge
        listen: [{ address: 127.0.0.1:0, tls: { cert: '${cert}', key: '${key}' } }, 127.0.0.1:0]
        ${more}
        routes: [{ upstream: api }]
  `,
  );
}

const GET = 'GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n';

describe('a client that speaks TLS', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`is served over ${version}, and the peer is told that it was https`, async (t) => {
      const peer = await startPeer(t);
      const sluice = await gateway(t, peer.address);
      const only = { minVersion: version, maxVersion: version };

      const { status, body } = await getTls(sluice.port, '/path', only);

      assert.equal(status, 200);
      assert.equal(body, `hello from ${peer.port}`);
      assert.equal(peer.requests[0]!.headers['x-forwarded-proto'], 'https');
      assert.equal(peer.requests[0]!.headers['x-forwarded-for'], '127.0.0.1');
      assert.equal(
        await sluice.metric('sluice_tls_handshakes_total{service="edge",result="done"}'),
        1,
      );
    });
  }

  test('beside one that does not, on another address of the service', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);
    const plain = await rawClient(t, sluice.addresses[1]!.port);

    plain.send(GET);
    await plain.receives(/hello/);

    assert.equal(peer.requests[0]!.headers['x-forwarded-proto'], 'http');
  });

  const refused: { name: string; options: object; says: RegExp }[] = [
    {
      name: 'TLS 1.1',
      options: {
        minVersion: 'TLSv1' as SecureVersion,
        maxVersion: 'TLSv1.1' as SecureVersion,
        ciphers: 'DEFAULT:@SECLEVEL=0',
      },
      says: /unsupported protocol/,
    },
    {
      name: 'no cipher but one without forward secrecy',
      options: { maxVersion: 'TLSv1.2' as SecureVersion, ciphers: 'AES128-SHA' },
      says: /no shared cipher/,
    },
    {
      name: 'HTTP/2 and nothing else',
      options: { ALPNProtocols: ['h2'] },
      says: /no application protocol/,
    },
  ];
  for (const { name, options, says } of refused) {
    test(`is refused if it knows ${name}, and nobody else is`, async (t) => {
      const peer = await startPeer(t);
      const sluice = await gateway(t, peer.address);

      await assert.rejects(tlsClient(t, sluice.port, options));

      const line = await sluice.logged(({ msg }) => msg === 'TLS handshake failed');
      assert.match(String(line['reason']), says);
      assert.equal(line['level'], 'debug');
      const failed = 'sluice_tls_handshakes_total{service="edge",result="failed"}';
      assert.equal(await sluice.metric(failed), 1);
      assert.equal(await sluice.metric('sluice_connections_open{service="edge"}'), 0);
      assert.equal((await getTls(sluice.port, '/')).status, 200);
    });
  }

  test('agrees on http/1.1 where it also knows h2', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);

    const client = await tlsClient(t, sluice.port, { ALPNProtocols: ['h2', 'http/1.1'] });

    assert.equal(client.socket.alpnProtocol, 'http/1.1');
  });

  for (const servername of ['', 'somebody.else', `${'a'.repeat(63)}.test`]) {
    test(`gets the one certificate there is when it asks for "${servername}"`, async (t) => {
      const peer = await startPeer(t);
      const sluice = await gateway(t, peer.address);
      const anyName = { servername, checkServerIdentity: () => undefined };

      const client = await tlsClient(t, sluice.port, anyName);
      client.send(GET);

      await client.receives(/hello/);
      assert.match(client.socket.getPeerCertificate().subject.CN as string, /^edge\.test$/);
    });
  }

  test('sends requests one after the other and all at once', async (t) => {
    const peer = await startPeer(t, (request, response) => response.end(`<${request.url}>`));
    const sluice = await gateway(t, peer.address);
    const client = await tlsClient(t, sluice.port);
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: edge.test\r\n\r\n`;

    client.send(request('/1'));
    await client.receives(/<\/1>/);
    client.send([2, 3, 4, 5].map((n) => request(`/${n}`)).join(''));
    const all = await client.receives(/<\/5>/);

    assert.deepEqual(all.match(/<\/\d>/g), ['</1>', '</2>', '</3>', '</4>', '</5>']);
    assert.equal(peer.connectionCount, 1);
  });

  test('gets head and body in one record', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);
    const client = await tlsClient(t, sluice.port);
    const pieces: string[] = [];
    client.socket.on('data', (piece: Buffer) => pieces.push(piece.toString('latin1')));

    client.send(GET);
    await client.receives(/hello/);

    // Node hands over what it decrypts record by record.
    assert.equal(pieces.length, 1);
    assert.match(pieces[0]!, /^HTTP\/1\.1 200 .*hello from \d+$/s);
  });

  test('sends and gets a large body, unharmed', async (t) => {
    const peer = await startPeer(t, (_request, response, body) => response.end(body));
    const sluice = await gateway(t, peer.address);
    const body = Buffer.alloc(8 * 1024 * 1024);
    for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at, at);
    const client = await tlsClient(t, sluice.port);
    const head = `POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;

    client.send(head);
    client.socket.write(body);
    const received = await client.closed();

    const echoed = Buffer.from(received.slice(received.indexOf('\r\n\r\n') + 4), 'latin1');
    assert.equal(echoed.length, body.length);
    assert.ok(echoed.equals(body));
  });

  test('that does not read holds the peer back, and gets everything once it does', async (t) => {
    const size = 32 * 1024 * 1024;
    const peer = await rawPeer(t);
    const sluice = await gateway(t, peer.address);
    const client = await tlsClient(t, sluice.port);
    client.send('GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n');
    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\n/);
    client.socket.pause();
    let taken = 0;
    const piece = Buffer.alloc(64 * 1024, 'x');
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    const sendOn = () => {
      while (taken < size) {
        taken += piece.length;
        if (!upstream.socket.write(piece)) return void upstream.socket.once('drain', sendOn);
      }
    };
    sendOn();

    await comesToRest(() => upstream.socket.bytesWritten);
    assert.ok(
      upstream.socket.bytesWritten < size / 2,
      `${upstream.socket.bytesWritten} were taken`,
    );

    client.socket.resume();
    const received = await client.closed();
    assert.equal(received.length - received.indexOf('\r\n\r\n') - 4, size);
  });

  test('that half-closes after its request still gets its answer', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await gateway(t, peer.address);
    const client = await tlsClient(t, sluice.port);
    client.send(GET);
    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\n/);

    client.socket.end();
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate');

    assert.match(await client.closed(), /late$/);
  });

  test('is told who it is, to the phases', async (t) => {
    const { fileURLToPath } = await import('node:url');
    const { cert, key } = pemFiles(t, edge);
    const program = fileURLToPath(new URL('programs/tells-facts.ts', import.meta.url));
    const sluice = await startSluice(t, `cert: '${cert}'\nkey: '${key}'`, { program });

    const over13 = await getTls(sluice.port, '/', { ALPNProtocols: ['http/1.1'] });
    const over12 = await getTls(sluice.port, '/', {
      maxVersion: 'TLSv1.2',
      servername: '',
      checkServerIdentity: () => undefined,
    });
    const plain = await rawClient(t, sluice.addresses[1]!.port);
    plain.send(GET);

    assert.deepEqual(JSON.parse(over13.body), {
      scheme: 'https',
      tls: {
        version: 'TLSv1.3',
        cipher: 'TLS_AES_256_GCM_SHA384',
        sni: 'edge.test',
        alpn: 'http/1.1',
      },
    });
    assert.deepEqual(JSON.parse(over12.body), {
      scheme: 'https',
      tls: { version: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    });
    await plain.receives(/\{"scheme":"http"\}/);
  });
});

describe('a connection to the TLS port that never becomes one', () => {
  const harmless = async (sluice: Awaited<ReturnType<typeof gateway>>) => {
    assert.equal((await getTls(sluice.port, '/')).status, 200);
    const open = () => sluice.metric('sluice_connections_open{service="edge"}');
    // That of the request just now may still be closing.
    await eventually(async () => ((await open()) === 0 ? true : undefined), 'closed connections');
    assert.equal((await sluice.status()).restarts, 0);
  };

  test('speaks HTTP in the clear, and is closed', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);
    const client = await rawClient(t, sluice.port);

    client.send(GET);
    await client.closed();

    const line = await sluice.logged(({ msg }) => msg === 'TLS handshake failed');
    assert.match(String(line['reason']), /http request/);
    await harmless(sluice);
    assert.equal(peer.requests.length, 1);
  });

  test('vanishes in the middle of its first message', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);
    const client = await rawClient(t, sluice.port);

    client.send('\x16\x03\x01\x02\x00\x01');
    await sluice.metric('sluice_connections_open{service="edge"}');
    client.socket.resetAndDestroy();

    const line = await sluice.logged(({ msg }) => msg === 'TLS handshake failed');
    assert.equal(line['client'], '127.0.0.1');
    await harmless(sluice);
  });

  test('sends noise where a name and a list of protocols should be', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address);
    for (const extension of [
      '\x00\x00\x00\x09\x00\x07\x00\x00\x04\x00\xff\x0d\x0a',
      '\x00\x10\x00\x04\x00\x02\x00\x00',
    ]) {
      const client = await rawClient(t, sluice.port);
      client.send(clientHello(extension));
      await client.closed();
    }
    await harmless(sluice);
  });

  test('says nothing, and is closed after tls_handshake', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address, 'timeouts: { tls_handshake: 1s }');
    const client = await rawClient(t, sluice.port);
    const slow = connect(sluice.port, '127.0.0.1');
    t.after(() => slow.destroy());
    slow.on('error', () => {});
    // A byte now and then must not put the deadline off.
    const dripping = setInterval(() => slow.write('\x16'), 200);
    t.after(() => clearInterval(dripping));

    await Promise.all([client.closed(), new Promise((resolve) => slow.once('close', resolve))]);

    const line = await sluice.logged(
      ({ reason }) => reason === 'it was not complete within 1000 ms',
    );
    assert.equal(line['service'], 'edge');
    await harmless(sluice);
  });

  test('counts among the connections of its client', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address, 'limits: { max_connections_per_client: 2 }');
    const silent = [await rawClient(t, sluice.port), await rawClient(t, sluice.port)];

    const third = await rawClient(t, sluice.port);
    await third.closed();

    const refused = 'sluice_connections_refused_total{service="edge",reason="per-client"}';
    assert.equal(await sluice.metric(refused), 1);
    for (const { socket } of silent) socket.destroy();
  });

  test('does not keep a server from stopping', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address, 'timeouts: { tls_handshake: 1s }');
    const silent = await rawClient(t, sluice.port);
    await sluice.metric('sluice_connections_open{service="edge"}');

    sluice.process.kill('SIGTERM');

    assert.equal((await sluice.ended).code, 0);
    await silent.closed();
  });
});

/** A ClientHello with one extension, which may be broken. */
function clientHello(extension: string): string {
  const u16 = (n: number) => String.fromCharCode(n >> 8, n & 0xff);
  const body = `\x03\x03${'r'.repeat(32)}\x00\x00\x02\xc0\x2b\x01\x00${u16(extension.length)}${extension}`;
  const message = `\x01\x00${u16(body.length)}${body}`;
  return `\x16\x03\x01${u16(message.length)}${message}`;
}

/** Resolves once a figure has stayed the same for a while: there is no event for "no more will be taken". */
async function comesToRest(figure: () => number): Promise<void> {
  let last = -1;
  while (figure() !== last) {
    last = figure();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

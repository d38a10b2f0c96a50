import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  eventually,
  rawClient,
  rawPeer,
  startPeer,
  startSluice,
  turnedAway,
} from '../../support/index.ts';

const gatewayTo = (address: string, more: string) => `
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      ${more}
      routes: [{ upstream: api }]
`;

describe('a request head', () => {
  test('has the limits of its service, each with its own answer', async (t) => {
    const peer = await startPeer(t);
    const limits = 'limits: { max_target: 64B, max_head: 256B, max_headers: 3 }';
    const sluice = await startSluice(t, gatewayTo(peer.address, limits));
    const head = (target: string, fields: string) =>
      `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`;
    const room = 256 - head('/', 'X: \r\n').length;
    const rows = [
      { sent: head(`/${'x'.repeat(63)}`, ''), status: '200' },
      { sent: head(`/${'x'.repeat(64)}`, ''), status: '414' },
      { sent: head('/', `X: ${'x'.repeat(room)}\r\n`), status: '200' },
      { sent: head('/', `X: ${'x'.repeat(room + 1)}\r\n`), status: '431' },
      { sent: head('/', 'X: y\r\n'), status: '200' },
      { sent: head('/', 'X: y\r\nX: y\r\n'), status: '431' },
    ];
    for (const { sent, status } of rows) {
      const client = await rawClient(t, sluice.port);
      client.send(sent);
      assert.equal((await client.closed()).slice(9, 12), status, sent);
    }
  });
});

describe('a request body', () => {
  const bodies = [
    { name: 'with a length', wire: 'Content-Length: 11\r\n\r\n', says: '413' },
    {
      name: 'in chunks',
      wire: 'Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n',
      says: '413',
    },
  ];
  for (const { name, wire, says } of bodies) {
    test(`${name} that is longer than allowed is a ${says}`, async (t) => {
      const peer = await rawPeer(t);
      const sluice = await startSluice(t, gatewayTo(peer.address, 'limits: { max_body: 10B }'));
      const client = await rawClient(t, sluice.port);

      client.send(`POST / HTTP/1.1\r\nHost: a\r\n${wire}`);

      assert.match(await client.receives(/\r\n\r\n/), /^HTTP\/1\.1 413 /);
      assert.equal(
        await sluice.metric('sluice_errors_total{service="edge",code="downstream/body-too-large"}'),
        1,
      );
    });
  }

  test('that pauses, or drips, is a 408; the peer does not get a whole request', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'timeouts: { request_body: 1s }'));
    const client = await rawClient(t, sluice.port);

    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx');

    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\nx$/);
    assert.match(await client.closed(), /^HTTP\/1\.1 408 /);
    assert.match(await upstream.closed(), /\r\n\r\nx$/);
  });

  test('that comes more slowly than allowed is a 408, even if it never pauses', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'limits: { min_rate: 1MiB }'));
    const client = await rawClient(t, sluice.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    const drip = setInterval(() => client.send('x'), 100);
    t.after(() => clearInterval(drip));

    assert.match(await client.receives(/\r\n\r\n/), /^HTTP\/1\.1 408 /);
    assert.equal(
      await sluice.metric('sluice_errors_total{service="edge",code="downstream/body-too-slow"}'),
      1,
    );
  });

  test('that nobody wants is read to keep the connection, if it is short', async (t) => {
    const sluice = await startSluice(
      t,
      `
      services:
        - name: edge
          listen: [127.0.0.1:0]
          routes: [{ respond: { status: 403 } }]
      `,
    );
    const client = await rawClient(t, sluice.port);
    client.send('POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    await client.receives(/^HTTP\/1\.1 403 [^]*\r\n\r\n$/);

    client.send('helloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.receives(/403[^]*\r\n\r\n[^]*403[^]*\r\n\r\n$/);

    client.send('POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
    assert.match(await client.closed(), /Connection: close\r\n[^]*$/);
  });

  test('whose client waits for a 100 that never came closes the connection', async (t) => {
    const sluice = await startSluice(
      t,
      `
      services:
        - name: edge
          listen: [127.0.0.1:0]
          routes: [{ respond: { status: 403 } }]
      `,
    );
    const client = await rawClient(t, sluice.port);

    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');

    assert.match(await client.closed(), /^HTTP\/1\.1 403 [^]*\r\nConnection: close\r\n/);
  });
});

describe('an expectation', () => {
  test('of a 100 is the peer’s to fulfil', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, ''));
    const client = await rawClient(t, sluice.port);

    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    const upstream = await peer.nextConnection();
    assert.match(await upstream.receives(/\r\n\r\n$/), /\r\nExpect: 100-continue\r\n/);
    upstream.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.receives(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('hello');
    await upstream.receives(/\r\n\r\nhello$/);
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');

    await client.receives(/HTTP\/1\.1 200 OK/);
  });

  test('of anything else is a 417', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, ''));
    const client = await rawClient(t, sluice.port);

    client.send('GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n');

    assert.match(await client.closed(), /^HTTP\/1\.1 417 /);
  });
});

describe('a response that the client does not read', () => {
  test('is cut after a while, and costs no more memory than what is on its way', async (t) => {
    const size = 64 * 1024 * 1024;
    const peer = await startPeer(t, (_request, response) => response.end(Buffer.alloc(size)));
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, 'timeouts: { response_write: 2s }'),
    );
    const resident = () => sluice.metric('sluice_worker_resident_memory_bytes{worker="0"}');
    const client = await rawClient(t, sluice.port);
    client.socket.pause();

    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await eventually(
      async () =>
        (await sluice.metric(
          'sluice_errors_total{service="edge",code="downstream/write-timeout"}',
        )) === 1
          ? true
          : undefined,
      'the client to be cut',
    );

    assert.ok((await resident()) < 256 * 1024 * 1024);
    client.socket.resume();
    assert.ok((await client.closed()).length < size);
  });
});

describe('a connection', () => {
  test('carries so many requests and then closes, with a word before', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'limits: { max_requests: 2 }'));
    const client = await rawClient(t, sluice.port);

    client.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.doesNotMatch(await client.receives(/hello/), /Connection: close/);
    client.send('GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n');

    assert.match(await client.closed(), /\r\nConnection: close\r\n/);
    assert.equal(peer.requests.length, 2);
  });

  test('beyond those that one client may have is closed at once', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, 'limits: { max_connections_per_client: 2 }'),
    );
    const [first] = await Promise.all([rawClient(t, sluice.port), rawClient(t, sluice.port)]);
    await eventually(
      async () =>
        (await sluice.metric('sluice_connections_open{service="edge"}')) === 2 ? true : undefined,
      'two connections',
    );

    assert.equal(await turnedAway(t, sluice.port), '');
    assert.equal((await sluice.get('/', { localAddress: '127.0.0.2' })).status, 200);
    assert.equal(
      await sluice.metric('sluice_connections_refused_total{service="edge",reason="per-client"}'),
      1,
    );

    first.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await first.receives(/hello/);
  });

  test('that is idle makes room for a new one; one that works does not', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'limits: { max_connections: 2 }'));
    const idle = await rawClient(t, sluice.port);
    const busy = await rawClient(t, sluice.port);
    busy.send('GET /busy HTTP/1.1\r\nHost: a\r\n\r\n');
    const upstream = await peer.nextConnection();
    await upstream.receives(/busy/);

    const next = await rawClient(t, sluice.port);
    next.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    await (await peer.nextConnection()).receives(/next/);
    assert.equal(await idle.closed(), '');

    assert.equal(await turnedAway(t, sluice.port), '');
    assert.equal(
      await sluice.metric('sluice_connections_refused_total{service="edge",reason="full"}'),
      1,
    );
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await busy.receives(/200 OK/);
  });
});

describe('a client behind trusted proxies', () => {
  test('is limited by its own address, which nobody can forge', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          trusted_proxies: [127.0.0.1]
          routes: [{ upstream: api, rate_limit: { rate: 1/h, burst: 1 } }]
      `,
    );
    const from = async (chain: string, localAddress = '127.0.0.1') =>
      (await sluice.get('/', { headers: { 'x-forwarded-for': chain }, localAddress })).status;

    assert.equal(await from('203.0.113.1'), 200);
    assert.equal(await from('6.6.6.6, 203.0.113.1'), 429);
    assert.equal(await from('203.0.113.2'), 200);
    assert.equal(await from('203.0.113.3', '127.0.0.2'), 200);
    assert.equal(await from('203.0.113.4', '127.0.0.2'), 429);
  });
});

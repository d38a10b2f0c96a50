import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { closedPort, rawClient, rawPeer, startPeer, startSluice } from '../../support/index.ts';

const gatewayTo = (address: string, more = '') => `
  upstreams: { api: { peers: ['${address}'], ${more} } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

describe('when the peer fails', () => {
  test('nobody listening is a 502', async (t) => {
    const sluice = await startSluice(t, gatewayTo(`127.0.0.1:${await closedPort()}`));

    const answer = await sluice.get('/');

    assert.equal(answer.status, 502);
    assert.match(answer.headers['x-request-id'] as string, /./);
    assert.equal(
      await sluice.metric('sluice_errors_total{service="edge",code="upstream/connect-refused"}'),
      1,
    );
  });

  test('silence is a 504', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'read_timeout: 200ms'));

    assert.equal((await sluice.get('/')).status, 504);
  });

  test('an ill peer is a 503, and it is back when it is well', async (t) => {
    const peer = await startPeer(t);
    const check = 'health_check: { type: tcp, interval: 100ms, timeout: 500ms }';
    const sluice = await startSluice(t, gatewayTo(peer.address, check));
    await peer.close();
    await sluice.logged(({ msg, verdict }) => msg === 'peer became ill' && verdict === 'ill');

    assert.equal((await sluice.get('/')).status, 503);
    assert.equal(
      await sluice.metric(`sluice_upstream_peer_healthy{upstream="api",peer="${peer.address}"}`),
      0,
    );

    await startPeer(t, undefined, peer.port);
    const ill = sluice.logs.findIndex(({ msg }) => msg === 'peer became ill');
    await sluice.logged(({ msg }, index) => msg === 'peer became healthy' && index > ill);
    assert.equal((await sluice.get('/')).status, 200);
  });

  test('a response that breaks the protocol is a 502', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const answer = sluice.get('/');

    const connection = await peer.nextConnection();
    await connection.receives(/\r\n\r\n$/);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n');

    assert.equal((await answer).status, 502);
    await connection.closed();
  });

  const cuts = [
    { name: 'with a length', head: 'Content-Length: 10' },
    { name: 'in chunks', head: 'Transfer-Encoding: chunked' },
  ];
  for (const { name, head } of cuts) {
    test(`a body ${name} that ends early never looks complete`, async (t) => {
      const peer = await rawPeer(t);
      const sluice = await startSluice(t, gatewayTo(peer.address));
      const answer = sluice.get('/');

      const connection = await peer.nextConnection();
      await connection.receives(/\r\n\r\n$/);
      connection.send(
        `HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello`.slice(
          0,
          head.includes('Length') ? -3 : undefined,
        ),
      );
      connection.socket.end();

      await assert.rejects(answer, { code: 'ECONNRESET' });
    });
  }

  test('a request that met a closed pooled connection is sent again; a POST never is', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const warmUp = async () => {
      const answer = sluice.get('/warm');
      const connection = await peer.nextConnection();
      await connection.receives(/warm[^]*\r\n\r\n$/);
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      await answer;
      return connection;
    };

    const pooled = await warmUp();
    const again = sluice.get('/again');
    await pooled.receives(/again/);
    pooled.socket.resetAndDestroy();
    const fresh = await peer.nextConnection();
    await fresh.receives(/again[^]*\r\n\r\n$/);
    fresh.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal((await again).status, 200);

    const post = sluice.get('/post', { method: 'POST', headers: { 'content-length': '0' } });
    await fresh.receives(/post/);
    fresh.socket.resetAndDestroy();
    assert.equal((await post).status, 502);
  });

  test('a status that is worth another attempt gets one, from another peer', async (t) => {
    const busy = await startPeer(t, (_request, response) => response.writeHead(503).end('busy'));
    const free = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
        upstreams: { api: { peers: ['${busy.address}', '${free.address}'] } }
        services:
          - listen: [127.0.0.1:0]
            retry: { statuses: [503] }
            routes: [{ upstream: api }]
      `,
    );

    for (let n = 0; n < 4; n++) assert.equal((await sluice.get('/')).status, 200);

    assert.equal(free.requests.length, 4);
    assert.ok(busy.requests.length > 0);
  });

  test('a response that does not begin in time is a 504, however long a peer may take', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address).replace('listen:', 'timeouts: { request: 200ms }\n      listen:'),
    );

    assert.equal((await sluice.get('/')).status, 504);
    const code = 'upstream/request-timeout';
    assert.equal(await sluice.metric(`sluice_errors_total{service="edge",code="${code}"}`), 1);
  });

  test('its work ends when the client leaves', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const connection = await peer.nextConnection();
    await connection.receives(/\r\n\r\n$/);
    client.socket.resetAndDestroy();

    await connection.closed();
  });
});

describe('when the client is at fault', () => {
  const malformed = [
    { name: 'a bare LF', wire: 'GET / HTTP/1.1\nHost: a\r\n\r\n', status: 400 },
    {
      name: 'both framings',
      wire: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      status: 400,
    },
    { name: 'no Host', wire: 'GET / HTTP/1.1\r\n\r\n', status: 400 },
    { name: 'two Hosts', wire: 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'HTTP/2.0 in a line', wire: 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', status: 505 },
    {
      name: 'another coding',
      wire: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n',
      status: 501,
    },
    {
      name: 'a head without end',
      wire: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}`,
      status: 431,
    },
    { name: 'a target without end', wire: `GET /${'x'.repeat(9_000)}`, status: 414 },
    { name: 'CONNECT', wire: 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', status: 405 },
    {
      name: 'a broken chunk',
      wire: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      status: 400,
    },
  ];
  for (const { name, wire, status } of malformed) {
    test(`${name} is a ${status} and a closed connection`, async (t) => {
      const peer = await startPeer(t);
      const sluice = await startSluice(t, gatewayTo(peer.address));
      const client = await rawClient(t, sluice.port);

      client.send(wire);

      const received = await client.closed();
      assert.match(received, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(received, /\r\nConnection: close\r\n/);
      assert.equal(peer.requests.length, 0);
    });
  }

  test('a head that takes too long is a 408', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address).replace('listen:', 'timeouts: { request_head: 1s }\n      listen:'),
    );
    const client = await rawClient(t, sluice.port);

    client.send('GET / HTTP/1.1\r\nHost:');

    assert.match(await client.closed(), /^HTTP\/1\.1 408 /);
  });
});

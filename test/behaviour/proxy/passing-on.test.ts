import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { describe, test } from 'node:test';
import { rawClient, rawPeer, startPeer, startSluice } from '../../support/index.ts';

const gatewayTo = (address: string) => `
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

/** Two numbers in place of megabytes that nobody could read. */
function digestOf(body: string | Buffer) {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  return { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

describe('a request that is passed on', () => {
  test('reaches the peer as it was, and its answer the client', async (t) => {
    const peer = await startPeer(t, (_request, response) => {
      response.setHeader('X-Two', ['one', 'two']);
      response.end('made by the peer');
    });
    const sluice = await startSluice(t, gatewayTo(peer.address));

    const answer = await sluice.get('/a/b?c=d', {
      headers: { 'X-Odd-CASE': 'kept', host: 'api.test' },
    });

    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'made by the peer');
    assert.equal(answer.rawHeaders.filter((name) => name === 'X-Two').length, 2);
    const [seen] = peer.requests;
    assert.equal(seen?.target, '/a/b?c=d');
    assert.equal(seen?.headers.host, 'api.test');
    assert.ok(seen?.rawHeaders.includes('X-Odd-CASE'));
  });

  test('tells the peer where it came from, whatever the client claims', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));

    await sluice.get('/', {
      headers: {
        host: 'api.test',
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'evil',
      },
    });

    const { headers } = peer.requests[0]!;
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(headers['x-forwarded-proto'], 'http');
    assert.equal(headers['x-forwarded-host'], 'api.test');
  });

  test('loses what was meant for the connection only, and cannot name our own fields away', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret, X-Forwarded-For\r\n' +
        'X-Secret: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n',
    );
    await client.closed();

    const { headers } = peer.requests[0]!;
    assert.equal(headers['x-secret'], undefined);
    assert.equal(headers['keep-alive'], undefined);
    assert.equal(headers['te'], undefined);
    assert.equal(headers.upgrade, undefined);
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
  });

  for (const size of [0, 1, 1_000, 100_000, 3_000_000]) {
    test(`keeps a body of ${size} bytes whole in both directions`, async (t) => {
      const peer = await startPeer(t, (_request, response, body) => response.end(body));
      const sluice = await startSluice(t, gatewayTo(peer.address));
      const body = Buffer.alloc(size, 'sluice-');

      const withLength = await sluice.get('/', { method: 'POST', body });
      assert.deepEqual(digestOf(withLength.body), digestOf(body));
      assert.deepEqual(digestOf(peer.requests[0]!.body), digestOf(body), 'with Content-Length');

      const chunked = await sluice.get('/', {
        method: 'POST',
        body,
        headers: { 'transfer-encoding': 'chunked' },
      });
      assert.deepEqual(digestOf(chunked.body), digestOf(body));
      assert.deepEqual(digestOf(peer.requests[1]!.body), digestOf(body), 'chunked');
    });
  }

  test('shares few connections to the peer among many on the client side', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));

    for (let n = 0; n < 10; n++) await sluice.get('/');

    assert.equal(peer.requests.length, 10);
    assert.equal(peer.connectionCount, 1);
  });

  test('uses the client’s connection again', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());

    for (let n = 0; n < 5; n++) assert.equal((await sluice.get('/', { agent })).status, 200);

    assert.equal(await sluice.metric('sluice_connections_accepted_total{service="edge"}'), 1);
  });
});

describe('answers of every shape', () => {
  const shapes = [
    {
      name: 'HEAD keeps the length of the body it does not have',
      method: 'HEAD',
      status: 200,
      length: '11',
      body: '',
    },
    {
      name: '204 has no body and no length',
      method: 'GET',
      status: 204,
      length: undefined,
      body: '',
    },
    { name: '304 has no body', method: 'GET', status: 304, length: undefined, body: '' },
  ];
  for (const { name, method, status, length, body } of shapes) {
    test(name, async (t) => {
      const peer = await startPeer(t, (_request, response) => {
        response.statusCode = status;
        if (status === 200) response.setHeader('content-length', 11);
        response.end(method === 'HEAD' ? undefined : '');
      });
      const sluice = await startSluice(t, gatewayTo(peer.address));
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());

      const first = await sluice.get('/', { method, agent });
      assert.equal(first.status, status);
      assert.equal(first.body, body);
      assert.equal(first.headers['content-length'], length);
      assert.equal(
        (await sluice.get('/', { method, agent })).status,
        status,
        'the connection is still in step',
      );
    });
  }

  test('pipelined requests are answered in order', async (t) => {
    const peer = await startPeer(t, (request, response) => {
      // The first is the slowest, so that order is not luck.
      setTimeout(() => response.end(`answer to ${request.url}`), request.url === '/1' ? 50 : 0);
    });
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    const ask = (n: number, last = false) =>
      `GET /${n} HTTP/1.1\r\nHost: a\r\n${last ? 'Connection: close\r\n' : ''}\r\n`;
    client.send(ask(1) + ask(2) + ask(3, true));

    const received = await client.closed();
    const order = [...received.matchAll(/answer to \/(\d)/g)].map(([, n]) => n);
    assert.deepEqual(order, ['1', '2', '3']);
  });

  test('interim answers are relayed before the final one', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const connection = await peer.nextConnection();
    await connection.receives(/\r\n\r\n$/);
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
    await client.receives(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\n$/);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');

    await client.receives(/HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
  });

  test('an HTTP/1.0 client gets an answer it understands', async (t) => {
    const peer = await startPeer(t, (_request, response) => {
      response.write('in ');
      response.end('pieces');
    });
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send('GET / HTTP/1.0\r\n\r\n');

    const received = await client.closed();
    assert.match(received, /^HTTP\/1\.1 200/);
    assert.doesNotMatch(received, /chunked/i);
    assert.match(received, /\r\n\r\nin pieces$/);
  });
});

/** A slow client can hold a connection only as long as the limits allow, however it is slow. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import {
  eventually,
  rawClient,
  rawPeer,
  startSluice,
  type RawClient,
} from '../../support/index.ts';
import { HttpPeer } from 'sluice';
import { testProxy } from 'sluice/testing';
import { startWire } from '../../support/wire.ts';

const ALL_SHORT =
  'timeouts: { request_head: 1s, request_body: 1s, response_write: 1s, keep_alive: 1s }';

/** Keeps sending, a piece every 50 ms, until the connection ends. */
function drip(t: TestContext, client: RawClient, piece: string): void {
  const timer = setInterval(() => client.send(piece), 50);
  t.after(() => clearInterval(timer));
}

test('a client that is slow', async (t) => {
  const { sluice, peer } = await startWire(t, ALL_SHORT);
  const own = (fields = '') => `POST /refused HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

  await describeRows(t, [
    {
      name: 'and says nothing at all is closed without a word',
      run: async (t) => assert.equal(await (await rawClient(t, sluice.port)).closed(), ''),
    },
    {
      name: 'and drips its head is a 408: further bytes buy no time',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send('GET / HTTP/1.1\r\nHost: a\r\nX: ');
        drip(t, client, 'x');
        assert.match(await client.closed(), /^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/);
      },
    },
    {
      name: 'and drips line after line of its head is a 408, too',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send('GET / HTTP/1.1\r\nHost: a\r\n');
        drip(t, client, 'X: y\r\n');
        assert.match(await client.closed(), /^HTTP\/1\.1 408 /);
      },
    },
    {
      name: 'and begins a second request that it does not end is a 408',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send(`${own()}GET / HT`);
        assert.match(await client.closed(), /^HTTP\/1\.1 401 [^]*HTTP\/1\.1 408 [^]*408 Req/);
      },
    },
    {
      name: 'and asks nothing more is closed without a word',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send(own());
        const answer = await client.receives(/\r\n\r\n$/);
        assert.doesNotMatch(answer, /Connection: close/);
        assert.equal(await client.closed(), answer);
      },
    },
    {
      name: 'and never sends the body that was answered without it is closed',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send(own('Content-Length: 10\r\n'));
        const answer = await client.receives(/\r\n\r\n$/);
        assert.equal(await client.closed(), answer);
      },
    },
    {
      name: 'and drips the body that was answered without it is closed',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send(own('Content-Length: 1000\r\n'));
        const answer = await client.receives(/\r\n\r\n$/);
        drip(t, client, 'x');
        assert.equal(await client.closed(), answer);
      },
    },
    {
      name: 'and goes on sending after its connection was closed is cut',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        const cut = new Promise((resolve) => client.socket.on('close', resolve));
        client.send('nonsense\r\n\r\n');
        drip(t, client, 'x');
        assert.match(await client.closed(), /^HTTP\/1\.1 400 /);
        await cut;
      },
    },
    {
      name: 'and takes nothing of an answer is cut, and so is the origin',
      run: async (t) => {
        const client = await rawClient(t, sluice.port);
        client.socket.pause();
        client.send('GET /big HTTP/1.1\r\nHost: a\r\n\r\n');
        const origin = await peer.nextConnection();
        await origin.receives(/big[^]*\r\n\r\n$/);
        origin.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
        origin.socket.write(Buffer.alloc(100_000_000));
        await origin.closed();
        client.socket.resume();
        assert.ok((await client.closed()).length < 100_000_000);
      },
    },
  ]);

  await eventually(
    async () =>
      (await sluice.metric('sluice_connections_open{service="edge"}')) === 0 ? true : undefined,
    'every connection to be gone',
  );
});

describe('a client that takes its answer more slowly than allowed', () => {
  test('is cut, even if it never pauses', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          limits: { min_rate: 1MiB }
          routes: [{ upstream: api }]
      `,
    );
    const client = await rawClient(t, sluice.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const origin = await peer.nextConnection();
    await origin.receives(/\r\n\r\n$/);
    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
    origin.socket.write(Buffer.alloc(100_000_000));
    client.socket.pause();
    const sip = setInterval(() => client.socket.read(10_000), 100);
    t.after(() => clearInterval(sip));

    await origin.closed();
    assert.equal(
      await sluice.metric('sluice_errors_total{service="edge",code="downstream/body-too-slow"}'),
      1,
    );
  });
});

interface Row {
  readonly name: string;
  readonly run: (t: TestContext) => Promise<void>;
}

/** All at once, since each of them waits for a second or two. */
async function describeRows(t: TestContext, rows: readonly Row[]): Promise<void> {
  await t.test('all at once', { concurrency: rows.length }, async (t) => {
    await Promise.all(rows.map(({ name, run }) => t.test(name, run)));
  });
}

test('the first client after a long quiet time has as long for its head as any other', async () => {
  await using world = await testProxy({ upstreamPeer: () => new HttpPeer('10.0.0.1:80') });
  await world.clock.advance(60 * 60_000);
  const client = world.connect();
  let received = '';
  client.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
  });
  await world.clock.advance(1_000);
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await world.clock.advance(1);

  assert.match(received, /^HTTP\/1\.1 200 /);
});

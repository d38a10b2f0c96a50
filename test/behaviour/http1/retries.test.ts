/** What is sent a second time, and what never is. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import {
  closedPort,
  rawClient,
  rawPeer,
  startSluice,
  type RawClient,
} from '../../support/index.ts';
import { ADDED, hasReceived, startWire, type Wire } from '../../support/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok';

const request = (method: string, fields = '', body = '') =>
  `${method} / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`;
const seen = (method: string, fields = '', extra = '') =>
  `${method} / HTTP/1.1\r\nHost: a\r\n${fields}${ADDED}${extra}\r\n`;

/** A connection in the pool: one request has gone over it. */
async function pooled(t: TestContext, { sluice, peer }: Wire): Promise<RawClient> {
  const client = await rawClient(t, sluice.port);
  client.send(request('GET'));
  const origin = await peer.nextConnection();
  await hasReceived(origin, seen('GET').length);
  origin.send(OK);
  await client.receives(/ok$/);
  client.socket.destroy();
  return origin;
}

const EXPECTED_502 = /^HTTP\/1\.1 502 /;

test('a request that met a pooled connection which the peer is closing', async (t) => {
  const wire = await startWire(t);
  const retried = () => wire.sluice.metric('sluice_upstream_retries_total{upstream="api"}');

  /** Sends the request over a pooled connection that then breaks in the given way. */
  const meet = async (t: TestContext, sent: string, expected: string, answered = '') => {
    const dead = await pooled(t, wire);
    const before = dead.received.length;
    const client = await rawClient(t, wire.sluice.port);
    client.send(sent);
    await hasReceived(dead, before + expected.length);
    assert.equal(dead.received.slice(before), expected);
    if (answered !== '') dead.send(answered);
    return { client, dead };
  };

  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
    for (const way of ['end', 'resetAndDestroy'] as const) {
      await t.test(`is sent again, once, if it is a ${method} (${way})`, async (t) => {
        const before = await retried();
        const { client, dead } = await meet(t, request(method), seen(method));
        dead.socket[way]();
        const fresh = await wire.peer.nextConnection();
        await hasReceived(fresh, seen(method).length);
        assert.equal(fresh.received, seen(method));
        fresh.send(OK.slice(0, method === 'HEAD' ? -2 : undefined));
        assert.match(await client.receives(/\r\n\r\n/), /^HTTP\/1\.1 200 /);
        assert.equal((await retried()) - before, 1);
        fresh.socket.end();
        await fresh.closed();
      });
    }
  }

  for (const [name, sent, expected] of [
    ['a POST', request('POST', 'Content-Length: 0\r\n'), seen('POST', 'Content-Length: 0\r\n')],
    ['a PATCH', request('PATCH'), seen('PATCH')],
    ['a method nobody knows', request('BREW'), seen('BREW')],
    ['a method in lower case', request('get'), seen('get')],
    [
      'a POST with a body',
      request('POST', 'Content-Length: 2\r\n', 'hi'),
      `${seen('POST', 'Content-Length: 2\r\n')}hi`,
    ],
  ] as const) {
    await t.test(`is never sent again if it is ${name}`, async (t) => {
      const before = await retried();
      const { client, dead } = await meet(t, sent, expected);
      dead.socket.resetAndDestroy();
      assert.match(await client.receives(/\r\n\r\n/), EXPECTED_502);
      assert.equal(await retried(), before);
    });
  }

  await t.test('is not sent again once something of an answer has come', async (t) => {
    for (const answered of ['H', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 200 OK\r\nX: ']) {
      const before = await retried();
      const { client, dead } = await meet(t, request('GET'), seen('GET'), answered);
      dead.socket.end();
      assert.match(await client.receives(/502 [^]*\r\n\r\n/), /HTTP\/1\.1 502 /);
      assert.equal(await retried(), before);
    }
  });

  await t.test(
    'is sent again once, not for ever: a fresh connection that closes is a 502',
    async (t) => {
      const { client, dead } = await meet(t, request('GET'), seen('GET'));
      dead.socket.resetAndDestroy();
      const fresh = await wire.peer.nextConnection();
      await hasReceived(fresh, seen('GET').length);
      fresh.socket.resetAndDestroy();
      assert.match(await client.receives(/\r\n\r\n/), EXPECTED_502);
    },
  );

  const KEPT = 64 * 1024;
  const bodies = [
    {
      name: 'a length',
      fields: `Content-Length: ${KEPT}\r\n`,
      sent: 'x'.repeat(KEPT),
      head: seen('PUT', `Content-Length: ${KEPT}\r\n`),
      isWhole: (wire: string) => wire.endsWith(`\r\n\r\n${'x'.repeat(KEPT)}`),
    },
    {
      name: 'chunks and trailers',
      fields: 'Transfer-Encoding: chunked\r\n',
      sent: `5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n`,
      head: seen('PUT', '', 'Transfer-Encoding: chunked\r\n'),
      isWhole: (wire: string) =>
        wire.endsWith('\r\n0\r\nX: y\r\n\r\n') &&
        [...wire.matchAll(/\r\n[0-9a-f]+\r\n([helowrd ]+)/g)].map(([, data]) => data).join('') ===
          'hello world',
    },
  ];
  for (const { name, fields, sent, head, isWhole } of bodies) {
    for (const half of [false, true]) {
      const state = half ? 'half of it still to come' : 'all of it sent';
      await t.test(`is sent again with its body (${name}, ${state})`, async (t) => {
        const dead = await pooled(t, wire);
        const before = dead.received.length;
        const client = await rawClient(t, wire.sluice.port);
        const middle = half ? Math.floor(sent.length / 3) : sent.length;
        client.send(request('PUT', fields) + sent.slice(0, middle));
        await hasReceived(dead, before + head.length + 5);
        if (!half) await dead.receives(/(x{1000}|X: y\r\n\r\n)$/);
        dead.socket.resetAndDestroy();
        const fresh = await wire.peer.nextConnection();
        await hasReceived(fresh, head.length + 5);
        client.send(sent.slice(middle));
        await fresh.receives(
          half || name === 'a length' ? /(x{20000}|X: y\r\n\r\n)$/ : /X: y\r\n\r\n$/,
        );
        await hasReceived(fresh, head.length + (name === 'a length' ? KEPT : 0));
        assert.ok(fresh.received.startsWith(head));
        assert.ok(isWhole(fresh.received));
        fresh.send(OK);
        assert.match(await client.receives(/ok$/), /^HTTP\/1\.1 200 /);
        fresh.socket.end();
        await fresh.closed();
      });
    }
  }

  await t.test('is not sent again with a body longer than is kept', async (t) => {
    const length = KEPT + 1;
    const fields = `Content-Length: ${length}\r\n`;
    const dead = await pooled(t, wire);
    const before = dead.received.length;
    const client = await rawClient(t, wire.sluice.port);
    client.send(request('PUT', fields, 'x'.repeat(length)));
    await hasReceived(dead, before + seen('PUT', fields).length + length);
    dead.socket.resetAndDestroy();
    assert.match(await client.receives(/\r\n\r\n/), EXPECTED_502);
  });
});

test('a request that met a closed connection does not try the rest of the pool', async (t) => {
  const wire = await startWire(t);
  const clients = await Promise.all([1, 2].map(() => rawClient(t, wire.sluice.port)));
  for (const client of clients) client.send(request('GET'));
  const pool = [await wire.peer.nextConnection(), await wire.peer.nextConnection()];
  for (const origin of pool) {
    await hasReceived(origin, seen('GET').length);
    origin.send(OK);
  }
  for (const client of clients) await client.receives(/ok$/);

  clients[0]!.send(request('GET'));
  const both = seen('GET').length * 2;
  const dead = await Promise.race(
    pool.map((origin) => hasReceived(origin, both).then(() => origin)),
  );
  dead.socket.end();
  const fresh = await wire.peer.nextConnection();
  await hasReceived(fresh, seen('GET').length);
  fresh.send(OK);
  await clients[0]!.receives(/ok[^]*ok$/);
});

test('a peer that cannot be connected to', async (t) => {
  const good = await rawPeer(t);
  const sluice = await startSluice(
    t,
    `
    upstreams:
      api: { peers: ['127.0.0.1:${await closedPort()}', '${good.address}'] }
      dead: { peers: ['127.0.0.1:${await closedPort()}', '127.0.0.1:${await closedPort()}'] }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes: [{ match: { path: /dead }, upstream: dead }, { upstream: api }]
    `,
  );

  for (const [method, fields, body] of [
    ['GET', '', ''],
    ['POST', 'Content-Length: 5\r\n', 'hello'],
    ['POST', 'Content-Length: 200000\r\n', 'x'.repeat(200_000)],
    ['POST', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'],
  ] as const) {
    await t.test(`costs nothing: another peer gets the ${method} (${fields.trim()})`, async (t) => {
      // Twice, since peers take turns: one of them meets the dead peer first.
      for (let turn = 0; turn < 2; turn++) {
        const client = await rawClient(t, sluice.port);
        client.send(request(method, fields, body));
        const origin = await good.nextConnection();
        const framing = fields.startsWith('Transfer') ? ['', fields] : [fields];
        const expected = seen(method, ...framing) + body;
        await hasReceived(origin, expected.length);
        assert.equal(origin.received.length, expected.length);
        assert.ok(origin.received === expected);
        origin.send(OK);
        await client.receives(/ok$/);
        origin.socket.end();
        await origin.closed();
      }
    });
  }

  await t.test('is a 502 if there is no other', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(request('GET').replace(' / ', ' /dead '));
    assert.match(await client.receives(/\r\n\r\n/), EXPECTED_502);
  });
});

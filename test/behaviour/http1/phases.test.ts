/** Phases of a program can change a message, but not where it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, rawClient, rawPeer, startSluice } from '../../support/index.ts';
import { ADDED, undated } from '../../support/wire.ts';

const MEDDLING = fileURLToPath(new URL('../server/programs/meddling.ts', import.meta.url));
const NEXT = 'GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const NEXT_ANSWER = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 4\r\n\r\nnext';
const NEXT_SEEN = `GET /next HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`;
const NEXT_GIVEN = NEXT_ANSWER.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');

const rows = [
  {
    name: 'framing of a request without a body',
    sent: 'GET /frame HTTP/1.1\r\nHost: a\r\n\r\n',
    seen: `GET /frame HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`,
    answer: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n',
    given: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n',
  },
  {
    name: 'framing of a body with a length',
    sent: 'POST /frame HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    seen: `POST /frame HTTP/1.1\r\nHost: a\r\n${ADDED}Content-Length: 5\r\n\r\nhello`,
    answer: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello',
    given: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello',
  },
  {
    name: 'framing of a chunked body',
    sent: 'POST /frame HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    seen: `POST /frame HTTP/1.1\r\nHost: a\r\n${ADDED}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    answer:
      'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    given:
      'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  },
  {
    name: 'the method, for a client that must not get a body',
    sent: 'HEAD /ask-with-get HTTP/1.1\r\nHost: a\r\n\r\n',
    seen: `GET /ask-with-get HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`,
    answer: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello',
    given: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\n',
  },
  {
    name: 'the method, for a client that waits for a body',
    sent: 'GET /ask-with-head HTTP/1.1\r\nHost: a\r\n\r\n',
    seen: `HEAD /ask-with-head HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`,
    answer: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\n',
    given: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n',
  },
] as const;

test('a phase that changes', async (t) => {
  const peer = await rawPeer(t);
  const gate = await rawPeer(t);
  const sluice = await startSluice(t, `peer: '${peer.address}'\ngate: '${gate.address}'`, {
    program: MEDDLING,
  });

  for (const { name, sent, seen, answer, given } of rows) {
    await t.test(`${name}, leaves both connections in step`, async (t) => {
      const client = await rawClient(t, sluice.port);
      client.send(sent);
      const origin = await peer.nextConnection();
      await origin.receives(new RegExp(`^[^]{${seen.length}}`));
      origin.send(answer);
      await client.receives(/\r\n\r\n(hello|5\r\nhello\r\n0\r\n\r\n)?$/);
      client.send(NEXT);
      await origin.receives(/\/next [^]*\r\n\r\n$/);
      origin.send(NEXT_ANSWER);

      assert.equal(undated(await client.closed()), given + NEXT_GIVEN);
      assert.equal(origin.received, seen + NEXT_SEEN);
      origin.socket.end();
      await origin.closed();
    });
  }

  await t.test('nothing, but takes its time: half an upload waits for nobody else', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send('POST /gate-answer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx');
    const origin = await peer.nextConnection();
    const half = await origin.receives(/\r\n\r\nx$/);
    origin.send('HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n');
    const waiting = await gate.nextConnection();
    await waiting.receives(/\r\n\r\n$/);

    const other = await rawClient(t, sluice.port);
    other.send(NEXT);
    const fresh = await peer.nextConnection();
    await fresh.receives(/\r\n\r\n$/);
    assert.equal(fresh.received, NEXT_SEEN);
    fresh.send(NEXT_ANSWER);
    assert.equal(undated(await other.closed()), NEXT_GIVEN);
    waiting.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    waiting.socket.end();
    await client.receives(/^HTTP\/1\.1 204 [^]*\r\n\r\n$/);
    assert.equal(await origin.closed(), half);
    fresh.socket.end();
    await fresh.closed();
  });

  await t.test('nothing, but takes its time: a client that leaves is not kept', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send('POST /gate HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    const waiting = await gate.nextConnection();
    await waiting.receives(/\r\n\r\n$/);
    client.socket.end();

    // An answer that needs no body could still be given; going on to a peer cannot.
    waiting.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    waiting.socket.end();
    assert.doesNotMatch(await client.closed(), / 200 /);
    await eventually(
      async () =>
        (await sluice.metric('sluice_errors_total{service="edge",code="downstream/closed"}')) === 1
          ? true
          : undefined,
      'the request to be over',
    );
    assert.equal(await sluice.metric('sluice_connections_open{service="edge"}'), 0);
  });
});

test('an answer of our own has a length only where a body may be', async (t) => {
  const sluice = await startSluice(
    t,
    `
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes:
          - { match: { path: /204 }, respond: { status: 204 } }
          - { match: { path: /304 }, respond: { status: 304 } }
          - { match: { path: /205 }, respond: { status: 205 } }
          - { respond: { status: 200, body: hello } }
    `,
  );
  const client = await rawClient(t, sluice.port);
  for (const line of ['GET /204', 'GET /304', 'HEAD /', 'GET /205']) {
    client.send(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
  }
  client.send(NEXT);

  assert.equal(
    undated(await client.closed()),
    'HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n' +
      'HTTP/1.1 304 Not Modified\r\nDate: now\r\n\r\n' +
      'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\n' +
      'HTTP/1.1 205 Reset Content\r\nDate: now\r\nContent-Length: 0\r\n\r\n' +
      'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello',
  );
});

/**
 * Answers that come before the request is complete. What is left of the request
 * must be read or its connection closed, on either side: else the rest of a
 * body would be taken for the next request.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, rawClient } from '../../support/index.ts';
import {
  ADDED,
  ASK_IN_STEP,
  hasReceived,
  IN_STEP,
  startWire,
  undated,
} from '../../support/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok';
const TOO_MUCH = 'HTTP/1.1 413 No\r\nDate: now\r\nContent-Length: 4\r\n\r\nfull';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

const post = (path: string, fields: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const chunk = (data: string) => `${data.length.toString(16)}\r\n${data}\r\n`;

/** The proxy's own answers; the origin must hear of none of these. */
const refusals = [
  { name: '401 of an API key', path: '/key', status: 401 },
  { name: '403 of a route', path: '/fixed', status: 403 },
  { name: '404 of no route', path: '/nowhere', status: 404 },
  { name: '429 of a rate limit', path: '/limited', status: 429 },
  { name: '400 of a path', path: '/a%00', status: 400 },
  { name: '405 of a method', path: '/trace', method: 'TRACE', status: 405 },
];

const short = [
  { name: 'a length', head: `Content-Length: ${SMUGGLED.length}\r\n`, body: SMUGGLED },
  {
    name: 'chunks',
    head: 'Transfer-Encoding: chunked\r\n',
    body: `${chunk(SMUGGLED)}0\r\nX: y\r\n\r\n`,
  },
];

test('an answer of our own before the body has come', async (t) => {
  const wire = await startWire(
    t,
    'limits: { max_body: 1MB }',
    '',
    `
          - { match: { path: /key }, auth: { api_key: { keys: [k] } }, upstream: api }
          - { match: { path: /fixed }, respond: { status: 403 } }
          - { match: { path: /limited }, rate_limit: { rate: 1/h, burst: 1 }, respond: { status: 200 } }
          - { match: { path: /up }, upstream: api }`,
  );
  const { sluice, peer } = wire;
  let asked = false;
  void peer.nextConnection().then(() => (asked = true));
  assert.equal((await sluice.get('/limited')).status, 200);

  for (const { name, path, method = 'POST', status } of refusals) {
    for (const { name: framing, head, body } of short) {
      for (const when of ['glued to the head', 'after the answer'] as const) {
        await t.test(
          `${name}: a short body (${framing}, ${when}) is read, and is no request`,
          async (t) => {
            const client = await rawClient(t, sluice.port);
            const start = post(path, head).replace('POST', method);
            client.send(when === 'glued to the head' ? start + body : start);
            const answer = await client.receives(
              /\r\n\r\n\d+ [A-Z][A-Za-z ]+\n$|403 Forbidden[^]*\r\n\r\n$/,
            );
            assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
            assert.doesNotMatch(answer, /Connection: close/);

            client.send((when === 'glued to the head' ? '' : body) + ASK_IN_STEP);

            const all = undated(await client.closed());
            assert.ok(all.endsWith(IN_STEP));
            assert.equal(all.match(/HTTP\/1\.1/g)?.length, 2, all);
          },
        );
      }
    }
  }

  const long = [
    { name: 'known from the start', head: 'Content-Length: 900000\r\n', chunks: false },
    { name: 'found out on the way', head: 'Transfer-Encoding: chunked\r\n', chunks: true },
  ];
  for (const { name, head, chunks } of long) {
    await t.test(`a long rest closes the connection: ${name}`, async (t) => {
      const client = await rawClient(t, sluice.port);
      client.send(post('/fixed', head));
      const answer = await client.receives(/\r\n\r\n$/);
      assert.equal(/Connection: close/.test(answer), !chunks);

      const piece = chunks ? chunk('x'.repeat(60_000)) : 'x'.repeat(60_000);
      for (let n = 0; n < 8; n++) client.send(piece);
      client.send(SMUGGLED);

      assert.equal(await client.closed(), answer);
    });
  }

  await t.test('a body beyond the bound is a 413, declared or not, and closes', async (t) => {
    const declared = await rawClient(t, sluice.port);
    declared.send(post('/up', 'Content-Length: 1000001\r\n'));
    assert.match(await declared.closed(), /^HTTP\/1\.1 413 [^]*\r\nConnection: close\r\n/);

    assert.equal(asked, false, 'the origin heard of no request so far');
    const chunked = await rawClient(t, sluice.port);
    chunked.send(post('/up', 'Transfer-Encoding: chunked\r\n'));
    for (let n = 0; n < 18; n++) chunked.send(chunk('x'.repeat(60_000)));
    chunked.send(`0\r\n\r\n${SMUGGLED}`);
    const received = await chunked.closed();
    assert.match(received, /^HTTP\/1\.1 413 [^]*\r\nConnection: close\r\n/);
    assert.doesNotMatch(received, /HTTP[^]*HTTP/);
  });

  await t.test('a broken rest of a body closes without another answer', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(post('/fixed', 'Transfer-Encoding: chunked\r\n'));
    const answer = await client.receives(/\r\n\r\n$/);
    client.send(`0x5\r\n${SMUGGLED}`);
    assert.equal(await client.closed(), answer);
  });
});

test('an answer of the origin before the body has come', async (t) => {
  const wire = await startWire(t);
  const { sluice, peer } = wire;
  const begin = async (
    client: Awaited<ReturnType<typeof rawClient>>,
    head: string,
    body: string,
  ) => {
    client.send(post('/', head) + body);
    const origin = await peer.nextConnection();
    await origin.receives(/\r\n\r\n[^]/);
    return origin;
  };

  await t.test('costs the origin’s connection, on which half a request stands', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await begin(client, 'Content-Length: 100\r\n', 'x'.repeat(50));
    origin.send(TOO_MUCH);
    assert.equal(undated(await client.receives(/full$/)), TOO_MUCH);
    assert.match(await origin.closed(), /x{50}$/);

    client.send(`${SMUGGLED.padEnd(50, 'x')}${ASK_IN_STEP}`);

    assert.equal(undated(await client.closed()), TOO_MUCH + IN_STEP);
    assert.match(origin.received, /x{50}$/, 'and nothing after it');
  });

  await t.test(
    'is passed on while the body goes on; complete, both connections live on',
    async (t) => {
      const client = await rawClient(t, sluice.port);
      const origin = await begin(client, 'Transfer-Encoding: chunked\r\n', chunk('hello'));
      origin.send('HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nso\r\n');
      await client.receives(/2\r\nso\r\n$/);
      client.send(`${chunk('world')}0\r\n\r\n`);
      await origin.receives(/5\r\nworld\r\n0\r\n\r\n$/);
      origin.send('0\r\n\r\n');
      await client.receives(/so\r\n0\r\n\r\n$/);

      client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
      await origin.receives(/\r\n0\r\n\r\nGET \/next HTTP\/1\.1\r\n[^]*\r\n\r\n$/);
      origin.send(OK);
      await client.receives(/ok$/);
      origin.socket.end();
      await origin.closed();
    },
  );

  await t.test('without a body of its own does the same', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await begin(client, 'Content-Length: 100\r\n', 'x');
    origin.send('HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n');
    await client.receives(/204 No Content\r\n[^]*\r\n\r\n$/);
    await origin.closed();

    client.send('x'.repeat(99) + ASK_IN_STEP);
    assert.equal(
      undated(await client.closed()),
      `HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n${IN_STEP}`,
    );
  });

  await t.test(
    'to a body too long to be read away closes the client’s connection, too',
    async (t) => {
      const client = await rawClient(t, sluice.port);
      const origin = await begin(client, 'Content-Length: 90000000\r\n', 'x');
      origin.send(TOO_MUCH);
      await origin.closed();
      client.send('x'.repeat(500_000) + SMUGGLED);

      assert.equal(
        undated(await client.closed()),
        TOO_MUCH.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
      );
    },
  );

  for (const way of ['end', 'resetAndDestroy'] as const) {
    await t.test(
      `that never comes is a 502, and what is left of the body is no request (${way})`,
      async (t) => {
        const client = await rawClient(t, sluice.port);
        const origin = await begin(client, 'Content-Length: 100\r\n', 'x'.repeat(50));
        origin.socket[way]();
        assert.match(await client.receives(/502 Bad Gateway\n$/), /^HTTP\/1\.1 502 /);

        client.send(`${SMUGGLED.padEnd(50, 'x')}${ASK_IN_STEP}`);

        const all = undated(await client.closed());
        assert.ok(all.endsWith(IN_STEP));
        assert.equal(all.match(/HTTP\/1\.1/g)?.length, 2, all);
      },
    );
  }

  await t.test('and a reset after it reach a client that goes on sending', async (t) => {
    const { sluice, peer } = await startWire(t);
    for (let nth = 0; nth < 10; nth++) {
      const client = await rawClient(t, sluice.port);
      client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n');
      const sending = setInterval(() => client.socket.write(Buffer.alloc(64 * 1024)), 1);
      t.after(() => clearInterval(sending));
      const origin = await peer.nextConnection();
      await origin.receives(/\0/);
      origin.socket.pause(); // what it leaves unread is what makes the kernel reset
      origin.socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n', () =>
        origin.socket.resetAndDestroy(),
      );

      assert.match(await client.receives(/\r\n\r\n/), /^HTTP\/1\.1 413 /, `try ${nth}`);
      clearInterval(sending);
      client.socket.destroy();
    }
  });

  await t.test('reaches a client that is stuck in its upload', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(post('/', 'Content-Length: 90000000\r\n'));
    const origin = await peer.nextConnection();
    await origin.receives(/\r\n\r\n/);
    origin.socket.pause();
    // More than every buffer on the way can hold.
    let taken = 0;
    for (let n = 0; n < 600; n++) client.socket.write(Buffer.alloc(65_536), () => (taken += 1));
    const seen: number[] = [];
    await eventually(async () => {
      seen.push(taken);
      const [first, ...others] = seen.slice(-5);
      return others.length === 4 && others.every((each) => each === first) ? true : undefined;
    }, 'the upload to be stuck');
    assert.ok(taken < 600);

    origin.send(TOO_MUCH);

    assert.match(await client.closed(), /^HTTP\/1\.1 413 No\r\n[^]*full$/);
  });
});

test('a client that waits for a 100', async (t) => {
  const { sluice, peer } = await startWire(t);
  const ask = post('/', 'Expect: 100-continue\r\nContent-Length: 5\r\n');
  const SEEN = ask.replace(/\r\n$/, `${ADDED}\r\n`);

  await t.test('gets the origin’s, sends its body, and stays', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(ask);
    const origin = await peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    assert.equal(origin.received, SEEN);
    assert.equal(client.received, '', 'nobody but the origin can say so');

    origin.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.receives(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('hello');
    await hasReceived(origin, SEEN.length + 5);
    origin.send(OK);
    await client.receives(/ok$/);
    client.send(ASK_IN_STEP);

    assert.equal(undated(await client.closed()), `HTTP/1.1 100 Continue\r\n\r\n${OK}${IN_STEP}`);
    origin.socket.end();
    assert.equal(await origin.closed(), `${SEEN}hello`);
  });

  for (const [status, words] of [
    [200, 'OK'],
    [401, 'Unauthorized'],
    [417, 'Expectation Failed'],
  ] as const) {
    await t.test(
      `and gets a ${status} instead: both connections close, for who knows what follows`,
      async (t) => {
        const client = await rawClient(t, sluice.port);
        client.send(ask);
        const origin = await peer.nextConnection();
        await hasReceived(origin, SEEN.length);
        origin.send(`HTTP/1.1 ${status} ${words}\r\nDate: now\r\nContent-Length: 2\r\n\r\nno`);
        await origin.closed();
        client.send(SMUGGLED);

        assert.equal(
          undated(await client.closed()),
          `HTTP/1.1 ${status} ${words}\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`,
        );
        assert.equal(origin.received, SEEN);
      },
    );
  }

  await t.test('and does not wait, is served all the same', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(`${ask}hello`);
    const origin = await peer.nextConnection();
    await hasReceived(origin, SEEN.length + 5);
    origin.send(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    await client.receives(/ok$/);
    client.send(ASK_IN_STEP);
    assert.equal(undated(await client.closed()), `HTTP/1.1 100 Continue\r\n\r\n${OK}${IN_STEP}`);
    origin.socket.end();
    await origin.closed();
  });

  await t.test(
    'and is refused by Sluice itself, gets no 100, and its connection closes',
    async (t) => {
      const client = await rawClient(t, sluice.port);
      client.send(ask.replace(' / ', ' /refused '));
      const received = await client.closed();
      assert.match(received, /^HTTP\/1\.1 401 [^]*\r\nConnection: close\r\n/);
    },
  );
});

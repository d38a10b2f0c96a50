/** Clients and origins that leave, halves of connections that end, and clients that ask without waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, rawClient } from '../../support/index.ts';
import { ADDED, hasReceived, IN_STEP, startWire, undated } from '../../support/wire.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const SEEN = `GET / HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok';
const CLOSING = OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');

test('a client that leaves ends the origin’s work', async (t) => {
  const { sluice, peer } = await startWire(t);
  const left = () => sluice.metric('sluice_errors_total{service="edge",code="downstream/closed"}');

  const moments = [
    { name: 'while the origin thinks', sends: GET, answer: '' },
    {
      name: 'in the middle of an answer',
      sends: GET,
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello',
    },
    {
      name: 'in the middle of a body',
      sends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello',
      answer: '',
    },
    {
      name: 'in the middle of chunks',
      sends: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      answer: '',
    },
    {
      name: 'in the middle of a body and of an answer',
      sends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello',
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello',
    },
    {
      name: 'while it waits for a 100',
      sends: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
      answer: '',
    },
  ];
  for (const { name, sends, answer } of moments) {
    await t.test(name, async (t) => {
      const before = await left();
      const client = await rawClient(t, sluice.port);
      client.send(sends);
      const origin = await peer.nextConnection();
      await origin.receives(/\r\n\r\n(\d\r\n)?(hello)?(\r\n)?$/);
      if (answer !== '') {
        origin.send(answer);
        await client.receives(/hello$/);
      }
      client.socket.resetAndDestroy();

      await origin.closed();
      assert.doesNotMatch(origin.received, /0\r\n\r\n$/, 'no body looks complete');
      await eventually(async () => ((await left()) === before + 1 ? true : undefined), 'the count');
    });
  }

  await t.test('and a client that ends its half in the middle of a body is one', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello');
    const origin = await peer.nextConnection();
    await origin.receives(/hello$/);
    client.socket.end();
    assert.match(await origin.closed(), /\r\n\r\nhello$/);
    assert.equal(await client.closed(), '');
  });
});

test('a client that leaves after it has asked for more is noticed all the same', async (t) => {
  const { sluice, peer } = await startWire(t);
  const client = await rawClient(t, sluice.port);
  client.send(GET + GET);
  const origin = await peer.nextConnection();
  await origin.receives(/\r\n\r\n$/);

  client.socket.resetAndDestroy();

  await origin.closed();
});

test('a client that has ended its half', async (t) => {
  const { sluice, peer } = await startWire(t);

  await t.test('gets its answer', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(GET);
    client.socket.end();
    const origin = await peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send(OK);
    const received = undated(await client.closed());
    // It depends on what arrives first whether we could know that it would be the last.
    assert.ok([OK, CLOSING].includes(received), received);
    origin.socket.end();
    await origin.closed();
  });

  await t.test('gets the answers to all that it asked before', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(`${GET}GET /in-step HTTP/1.1\r\nHost: a\r\n\r\n${GET}`);
    client.socket.end();
    const origin = await peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send(OK);
    await hasReceived(origin, 2 * SEEN.length);
    origin.send(OK);
    const inStep = IN_STEP.replace('Connection: close\r\n', '');
    const received = undated(await client.closed());
    assert.ok([OK + inStep + OK, OK + inStep + CLOSING].includes(received), received);
    assert.equal(origin.received, SEEN + SEEN);
    origin.socket.end();
    await origin.closed();
  });

  await t.test('gets nothing for half a head', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(GET.slice(0, -2));
    client.socket.end();
    assert.equal(await client.closed(), '');
  });
});

test('a client that asks without waiting', async (t) => {
  const { sluice, peer } = await startWire(t, 'limits: { max_requests: 1000000 }');
  const ask = (n: number, body = '') =>
    `POST /${n} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

  await t.test('is answered in order, one request after the other', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(ask(1, 'one') + ask(2) + ask(3, 'three'));
    const origin = await peer.nextConnection();
    for (const [n, body] of [
      [1, 'one'],
      [2, ''],
      [3, 'three'],
    ] as const) {
      await origin.receives(new RegExp(`POST /${n} [^]*\\r\\n\\r\\n${body}$`));
      assert.doesNotMatch(origin.received, new RegExp(`POST /${n + 1} `), 'not before its turn');
      origin.send(OK.replace('ok', `${n}!`));
    }
    assert.match(await client.receives(/3!$/), /^HTTP[^]*1!HTTP[^]*2!HTTP[^]*3!$/);
    assert.equal(client.received.match(/HTTP\/1\.1 200/g)?.length, 3);
    origin.socket.end();
    await origin.closed();
  });

  await t.test(
    'fills no memory: what it has not been answered waits in its own buffers',
    async (t) => {
      const client = await rawClient(t, sluice.port);
      const resident = () => sluice.metric('sluice_worker_resident_memory_bytes{worker="0"}');
      client.send(GET);
      const origin = await peer.nextConnection();
      await hasReceived(origin, SEEN.length);
      const before = await resident();
      let taken = 0;
      const piece = 'x'.repeat(16_000);
      for (let n = 0; n < 4_000; n++) client.socket.write(piece, () => (taken += 1));
      const counts: number[] = [];
      await eventually(async () => {
        counts.push(taken);
        const [first, ...others] = counts.slice(-5);
        return others.length === 4 && others.every((each) => each === first) ? true : undefined;
      }, 'the client to be stuck');

      assert.ok(taken < 4_000, `${taken} of 4000 pieces were taken`);
      assert.ok((await resident()) - before < 16 * 1024 * 1024);
      client.socket.destroy();
      origin.socket.destroy();
    },
  );

  await t.test('and does not read its answers, is not given more of them', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.socket.pause();
    const many = 'GET /in-step HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1_000);
    const answered = () => sluice.metric('sluice_requests_total{service="edge",status="200"}');
    for (let n = 0; n < 150; n++) client.send(many);
    const counts: number[] = [];
    await eventually(async () => {
      counts.push(await answered());
      const [first, ...others] = counts.slice(-5);
      return others.length === 4 && others.every((each) => each === first) ? true : undefined;
    }, 'no more answers');
    assert.ok(counts.at(-1)! < 150_000, `${counts.at(-1)} answers`);
    client.socket.destroy();
  });
});

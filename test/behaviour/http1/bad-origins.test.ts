/** Origins that break the protocol, or off: the client never takes what they did for a whole answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawClient } from '../../support/index.ts';
import { ADDED, hasReceived, startWire, undated } from '../../support/wire.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const SEEN = `GET / HTTP/1.1\r\nHost: a\r\n${ADDED}\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok';

const badHeads = [
  [
    'a length and a coding',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'],
  ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n'],
  ['a length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n'],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'],
  ['a coding of HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a coding with a 204', 'HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nX : y\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\nX: y\r\n\r\n'],
  ['a bare CR in a value', 'HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: z\r\n\r\n'],
  ['a NUL in a value', 'HTTP/1.1 200 OK\r\nX: \0\r\n\r\n'],
  ['an empty name', 'HTTP/1.1 200 OK\r\n: y\r\n\r\n'],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`],
  ['fields without end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(300)}`],
  ['interim answers without end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)],
  ['an endless interim head', `HTTP/1.1 103 Early Hints\r\nX: ${'x'.repeat(70_000)}`],
  ['a coding with an interim answer', 'HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a body with an interim answer', 'HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\nhello'],
  ['a 101 that nobody asked for', 'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
] as const;

const cuts = [
  ['a body shorter than its length', 'Content-Length: 10\r\n', 'hello', 'hello'],
  ['no body where one was promised', 'Content-Length: 10\r\n', '', ''],
  [
    'chunks without the last one',
    'Transfer-Encoding: chunked\r\n',
    '5\r\nhello\r\n',
    '5\r\nhello\r\n',
  ],
  ['a chunk without its end', 'Transfer-Encoding: chunked\r\n', '9\r\nhello', '5\r\nhello\r\n'],
  [
    'a last chunk without its end',
    'Transfer-Encoding: chunked\r\n',
    '5\r\nhello\r\n0\r\n',
    '5\r\nhello\r\n',
  ],
  ['half a trailer', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\nX: y', '5\r\nhello\r\n'],
] as const;

const brokenChunks = [
  ['a size that is none', '0x5\r\nhello\r\n'],
  ['a bare LF after the size', '5\nhello\r\n'],
  ['an extension without end', `5;${'x'.repeat(2_000)}`],
  ['a trailer with a NUL', '0\r\nX: \0\r\n\r\n'],
] as const;

test('an origin that breaks the protocol', async (t) => {
  const wire = await startWire(t);

  for (const [name, sent] of badHeads) {
    await t.test(`with ${name} is a 502, and loses its connection`, async (t) => {
      const client = await rawClient(t, wire.sluice.port);
      client.send(GET);
      const origin = await wire.peer.nextConnection();
      await hasReceived(origin, SEEN.length);
      origin.send(sent);

      const answer = await client.receives(/HTTP\/1\.1 502 [^]*\r\n\r\n502 Bad Gateway\n$/);
      assert.doesNotMatch(answer, /HTTP\/1\.1 (200|204|101)|hello|Set-Cookie/);
      assert.equal(await origin.closed(), SEEN);
    });
  }

  for (const [name, framing, sent, arrives] of cuts) {
    for (const way of ['end', 'resetAndDestroy'] as const) {
      await t.test(`with ${name} (${way}) leaves the client with a cut answer`, async (t) => {
        const client = await rawClient(t, wire.sluice.port);
        const isReset = new Promise<boolean>((resolve) => {
          client.socket.on('close', resolve);
        });
        client.send(GET);
        const origin = await wire.peer.nextConnection();
        await hasReceived(origin, SEEN.length);
        const head = `HTTP/1.1 200 OK\r\nDate: now\r\n${framing}\r\n`;
        origin.send(head + sent);
        await hasReceived(client, head.length + arrives.length);
        origin.socket[way]();

        assert.equal(await client.closed(), head + arrives);
        assert.ok(await isReset, 'not an orderly end, which some clients take for a complete body');
      });
    }
  }

  for (const [name, sent] of brokenChunks) {
    await t.test(`with ${name} leaves the client with a cut answer`, async (t) => {
      const client = await rawClient(t, wire.sluice.port);
      client.send(GET);
      const origin = await wire.peer.nextConnection();
      await hasReceived(origin, SEEN.length);
      const head = 'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n';
      origin.send(head);
      await hasReceived(client, head.length);
      origin.send(`${sent}0\r\n\r\n`);

      assert.equal(await client.closed(), head);
      await origin.closed();
    });
  }

  await t.test('with a reset in a body that its end would end, leaves a cut answer', async (t) => {
    const client = await rawClient(t, wire.sluice.port);
    client.send(GET);
    const origin = await wire.peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send('HTTP/1.1 200 OK\r\nDate: now\r\n\r\nhello');
    const whole =
      'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n';
    await hasReceived(client, whole.length);
    origin.socket.resetAndDestroy();

    assert.equal(await client.closed(), whole);
  });

  await t.test('by speaking on a pooled connection loses it, and poisons nobody', async (t) => {
    const client = await rawClient(t, wire.sluice.port);
    client.send(GET);
    const origin = await wire.peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send(OK);
    await client.receives(/ok$/);

    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned');
    await origin.closed();

    client.send(GET);
    const next = await wire.peer.nextConnection();
    await hasReceived(next, SEEN.length);
    next.send(OK);
    assert.equal(undated(await client.receives(/ok[^]*ok$/)), OK + OK);
    next.socket.end();
    await next.closed();
  });

  await t.test('by saying too much poisons not even the request that waits behind', async (t) => {
    const client = await rawClient(t, wire.sluice.port);
    client.send(GET + GET);
    const origin = await wire.peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned`);

    const next = await wire.peer.nextConnection();
    await hasReceived(next, SEEN.length);
    next.send(OK);
    assert.equal(undated(await client.receives(/ok[^]*(ok|poisoned)$/)), OK + OK);
    assert.equal(await origin.closed(), SEEN);
    next.socket.end();
    await next.closed();
  });

  await t.test('by ending a pooled connection is asked on another one', async (t) => {
    const client = await rawClient(t, wire.sluice.port);
    client.send(GET);
    const origin = await wire.peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    origin.send(OK);
    await client.receives(/ok$/);
    origin.socket.end();
    await origin.closed();

    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    const next = await wire.peer.nextConnection();
    await next.receives(/^POST [^]*\r\n\r\n$/);
    next.send(OK);
    await client.receives(/ok[^]*ok$/);
    next.socket.end();
    await next.closed();
  });
});

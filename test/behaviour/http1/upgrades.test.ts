/** Upgrades, byte for byte: what is asked, what is agreed, and what happens to those that are not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, rawClient, type RawClient } from '../../support/index.ts';
import {
  ADDED,
  ASK_IN_STEP,
  hasReceived,
  IN_STEP,
  startWire,
  undated,
} from '../../support/wire.ts';

const ASK =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n';
const SEEN = `GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\n${ADDED}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n`;
const AGREED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nDate: now\r\nContent-Length: 5\r\nSec-WebSocket-Accept: y\r\n\r\n';
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nDate: now\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const FRAMES = '\x81\x85\0\0\0\0hello GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

test('an upgrade', async (t) => {
  const { sluice, peer } = await startWire(t);
  const asking = async (client: RawClient, more = ''): Promise<RawClient> => {
    client.send(ASK + more);
    const origin = await peer.nextConnection();
    await hasReceived(origin, SEEN.length);
    assert.equal(origin.received, SEEN);
    return origin;
  };

  await t.test('that is agreed to carries every byte of both sides and no other', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await asking(client, FRAMES);
    origin.send(AGREED + FRAMES);
    await client.receives(/smuggled[^]*\r\n\r\n$/);
    client.send(`${FRAMES}\0`);
    await origin.receives(/\0$/);
    origin.socket.end('bye');
    await client.receives(/bye$/);
    client.socket.end('so long');

    assert.equal(await client.closed(), `${SWITCHED}${FRAMES}bye`);
    assert.equal(await origin.closed(), `${SEEN}${FRAMES}${FRAMES}\0so long`);
  });

  await t.test('may be agreed to by an origin that has nothing to say', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await asking(client);
    origin.socket.end(AGREED, 'latin1');
    assert.equal(await client.closed(), SWITCHED);
    client.socket.end('only I speak');
    assert.equal(await origin.closed(), `${SEEN}only I speak`);
  });

  await t.test('may come after an interim answer', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await asking(client);
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n';
    origin.send(hints + AGREED);
    await hasReceived(client, hints.length + SWITCHED.length);
    assert.equal(client.received, hints + SWITCHED);
    client.socket.resetAndDestroy();
    await origin.closed();
  });

  await t.test('of a client that has ended its half before, tells the origin so', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await asking(client);
    client.socket.end();
    // A second connection’s answer shows that the end of the first has been read.
    const other = await rawClient(t, sluice.port);
    other.send(ASK_IN_STEP);
    await other.closed();
    origin.send(AGREED);

    assert.equal(await origin.closed(), SEEN);
    origin.socket.end('I am not done');
    assert.equal(await client.closed(), `${SWITCHED}I am not done`);
  });

  for (const [status, words] of [
    [200, 'OK'],
    [401, 'Unauthorized'],
    [426, 'Upgrade Required'],
  ] as const) {
    for (const glued of ['', FRAMES]) {
      const name = `that is answered with ${status} is an ordinary answer`;
      await t.test(
        `${name}, and what was sent after it${glued && ' already'} is no request`,
        async (t) => {
          const client = await rawClient(t, sluice.port);
          const origin = await asking(client, glued);
          origin.send(`HTTP/1.1 ${status} ${words}\r\nDate: now\r\nContent-Length: 2\r\n\r\nno`);
          await client.receives(/no$/);
          client.send(ASK_IN_STEP);

          assert.equal(
            undated(await client.closed()),
            `HTTP/1.1 ${status} ${words}\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`,
          );
          origin.socket.end();
          assert.equal(await origin.closed(), SEEN);
        },
      );
    }
  }

  for (const [name, answer] of [
    ['to something else', AGREED.replace('Upgrade: websocket', 'Upgrade: h2c')],
    ['to nothing', AGREED.replace('Upgrade: websocket\r\n', '')],
  ] as const) {
    await t.test(`that is agreed to, but ${name}, is a 502`, async (t) => {
      const client = await rawClient(t, sluice.port);
      const origin = await asking(client, FRAMES);
      origin.send(answer + FRAMES);
      const received = await client.closed();
      assert.match(received, /^HTTP\/1\.1 502 /);
      assert.doesNotMatch(received, /101|smuggled/);
      assert.equal(await origin.closed(), SEEN);
    });
  }

  for (const [name, sent] of [
    ['of HTTP/1.0', ASK.replace('HTTP/1.1', 'HTTP/1.0')],
    [
      'that Connection does not name',
      ASK.replace('Connection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\n', ''),
    ],
    ['to h2c', ASK.replace('WebSocket', 'h2c').replace('keep-alive', 'HTTP2-Settings')],
    ['to h2c among others', ASK.replace('WebSocket', 'websocket, h2c')],
    [
      'with a body',
      ASK.replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 2\r\n\r\nhi'),
    ],
  ] as const) {
    await t.test(`${name} is not asked of the origin`, async (t) => {
      const client = await rawClient(t, sluice.port);
      client.send(sent);
      const origin = await peer.nextConnection();
      const seen = await origin.receives(/\r\n\r\n(hi)?$/);
      assert.doesNotMatch(seen, /^(upgrade|connection|http2-settings):/im);
      origin.send(AGREED);
      assert.match(await client.receives(/\r\n\r\n/), /^HTTP\/1\.1 502 /);
      await origin.closed();
    });
  }

  await t.test('holds back a side that is faster than the other, in both directions', async (t) => {
    const client = await rawClient(t, sluice.port);
    const origin = await asking(client);
    origin.send(AGREED);
    await client.receives(/\r\n\r\n$/);
    const resident = () => sluice.metric('sluice_worker_resident_memory_bytes{worker="0"}');
    const before = await resident();
    for (const [fast, slow] of [
      [client, origin],
      [origin, client],
    ] as const) {
      slow.socket.pause();
      let taken = 0;
      for (let n = 0; n < 1_000; n++) fast.socket.write(Buffer.alloc(65_536), () => (taken += 1));
      const counts: number[] = [];
      await eventually(async () => {
        counts.push(taken);
        const [first, ...others] = counts.slice(-5);
        return others.length === 4 && others.every((each) => each === first) ? true : undefined;
      }, 'the fast side to be stuck');
      assert.ok(taken < 1_000, `${taken} of 1000 pieces were taken`);
    }
    assert.ok((await resident()) - before < 16 * 1024 * 1024);
    client.socket.destroy();
    origin.socket.destroy();
  });

  await t.test('leaves nothing behind', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send(ASK_IN_STEP);
    assert.equal(undated(await client.closed()), IN_STEP);
    await eventually(
      async () =>
        (await sluice.metric('sluice_connections_open{service="edge"}')) === 0 ? true : undefined,
      'every connection to be gone',
    );
  });
});

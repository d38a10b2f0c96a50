/** Where Node’s handles are out of reach, connections go over its sockets: slower, and otherwise the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawClient, rawPeer, startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('../server/programs/without-handles.ts', import.meta.url));
const digest = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

test('without handles', async (t) => {
  const peer = await startPeer(t, (_request, response, body) => response.end(body));
  const raw = await rawPeer(t);
  const sluice = await startSluice(
    t,
    `
    upstreams:
      echo: { peers: ['${peer.address}'] }
      raw: { peers: ['${raw.address}'] }
      nobody: { peers: ['127.0.0.1:1'] }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes:
          - { match: { path: /raw }, upstream: raw }
          - { match: { path: /nobody }, upstream: nobody }
          - { upstream: echo }
    `,
    { program },
  );

  await t.test('bodies pass whole in both directions', async () => {
    for (const length of [0, 10, 3_000_000]) {
      const body = Buffer.alloc(length, 'sluice');
      const answer = await sluice.get('/', { method: 'POST', body });
      assert.equal(answer.status, 200);
      assert.equal(digest(Buffer.from(answer.body, 'latin1')), digest(body), `${length} bytes`);
    }
  });

  await t.test('connections are used again, on both sides', async (t) => {
    const client = await rawClient(t, sluice.port);
    const before = peer.connectionCount;
    for (const path of ['/one', '/two', '/three']) {
      client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n${path.padEnd(6)}`);
      await client.receives(new RegExp(`\r\n\r\n${path.padEnd(6)}$`));
    }
    assert.ok(peer.connectionCount <= before + 1);
  });

  await t.test('a tunnel carries bytes both ways, and ends with both', async (t) => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    const origin = await raw.nextConnection();
    await origin.receives(/\r\n\r\n/);
    origin.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello',
    );
    await client.receives(/hello$/);
    client.send('world');
    await origin.receives(/world$/);
    client.socket.end();
    origin.socket.end();
    await client.closed();
  });

  await t.test('a peer that refuses is a 502', async () => {
    assert.equal((await sluice.get('/nobody')).status, 502);
  });
});

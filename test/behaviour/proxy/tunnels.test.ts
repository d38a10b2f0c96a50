import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { eventually, rawClient, rawPeer, startSluice } from '../../support/index.ts';

const gatewayTo = (address: string, more = '') => `
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      ${more}
      routes: [{ upstream: api }]
`;

const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n';
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n';

async function openTunnel(t: TestContext, more = '') {
  const peer = await rawPeer(t);
  const sluice = await startSluice(t, gatewayTo(peer.address, more));
  const client = await rawClient(t, sluice.port);
  client.send(UPGRADE);
  const upstream = await peer.nextConnection();
  const asked = await upstream.receives(/\r\n\r\n$/);
  return { peer, sluice, client, upstream, asked };
}

describe('an upgrade', () => {
  test('is asked of the peer, and its 101 opens a tunnel for any bytes', async (t) => {
    const { client, upstream, asked, sluice } = await openTunnel(t);
    assert.match(asked, /\r\nConnection: Upgrade\r\n/);
    assert.match(asked, /\r\nUpgrade: websocket\r\n/);
    assert.match(asked, /\r\nSec-WebSocket-Key: x\r\n/);

    upstream.send(SWITCHED);
    const answer = await client.receives(/\r\n\r\n$/);
    assert.match(answer, /^HTTP\/1\.1 101 /);
    assert.match(answer, /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/);
    assert.match(answer, /\r\nSec-WebSocket-Accept: y\r\n/);
    assert.doesNotMatch(answer, /Transfer-Encoding|Content-Length|Connection: close/i);

    client.send('\x82\xffping GET / HTTP/1.1\r\n\r\n');
    await upstream.receives(/\x82\xffping GET \/ HTTP\/1\.1\r\n\r\n$/);
    upstream.send('\x81\xfepong\r\n');
    await client.receives(/\x81\xfepong\r\n$/);

    client.socket.end();
    upstream.socket.end();
    await upstream.closed();
    await client.closed();
    await eventually(
      async () =>
        (await sluice.metric('sluice_requests_total{service="edge",status="101"}')) === 1
          ? true
          : undefined,
      'the tunnel to be counted',
    );
  });

  test('keeps frames that are glued to the heads, on both sides', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send(`${UPGRADE}early from client`);
    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\n$/);
    upstream.send(`${SWITCHED}early from peer`);

    await client.receives(/\r\n\r\nearly from peer$/);
    await upstream.receives(/\r\n\r\nearly from client$/);
  });

  test('sends nothing of the tunnel before the peer has agreed', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);
    client.send(`${UPGRADE}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n`);
    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\n$/);
    assert.doesNotMatch(upstream.received, /admin/);

    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno');

    // An ordinary answer. What follows belonged to a protocol that nobody speaks now.
    assert.match(await client.closed(), /^HTTP\/1\.1 200 OK[^]*\r\n\r\nno$/);
    assert.doesNotMatch(upstream.received, /admin/);
  });

  test('passes each side’s half-close on, and lets the other go on', async (t) => {
    const { client, upstream } = await openTunnel(t);
    upstream.send(SWITCHED);
    await client.receives(/\r\n\r\n$/);

    client.socket.end('last words');
    await upstream.receives(/last words$/);
    await upstream.closed();
    upstream.send('and an answer');
    await client.receives(/and an answer$/);
    upstream.socket.end();

    await client.closed();
  });

  test('ends at once on the other side when one side breaks', async (t) => {
    for (const side of ['client', 'upstream'] as const) {
      const tunnel = await openTunnel(t);
      tunnel.upstream.send(SWITCHED);
      await tunnel.client.receives(/\r\n\r\n$/);

      tunnel[side].socket.resetAndDestroy();

      await (side === 'client' ? tunnel.upstream : tunnel.client).closed();
    }
  });

  test('keeps megabytes whole while both sides read slowly', async (t) => {
    const { client, upstream } = await openTunnel(t);
    upstream.send(SWITCHED);
    await client.receives(/\r\n\r\n$/);
    const head = client.received.length;
    const asked = upstream.received.length;
    const size = 8 * 1024 * 1024;
    client.socket.pause();
    upstream.socket.pause();
    client.socket.write(Buffer.alloc(size, 'c'));
    upstream.socket.write(Buffer.alloc(size, 'u'));
    client.socket.end();
    upstream.socket.end();

    client.socket.resume();
    upstream.socket.resume();

    assert.equal((await client.closed()).length, head + size);
    assert.equal((await upstream.closed()).length, asked + size);
  });

  test('is closed when nothing goes through it for long', async (t) => {
    const { client, upstream, sluice } = await openTunnel(t, 'timeouts: { tunnel_idle: 1s }');
    upstream.send(SWITCHED);
    await client.receives(/\r\n\r\n$/);

    await client.closed();
    await upstream.closed();

    assert.equal(
      await sluice.metric('sluice_errors_total{service="edge",code="downstream/tunnel-idle"}'),
      1,
    );
  });

  test('to cleartext HTTP/2 is not passed on, since it would hide requests from us', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const client = await rawClient(t, sluice.port);

    client.send(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n',
    );

    const asked = await (await peer.nextConnection()).receives(/\r\n\r\n$/);
    assert.doesNotMatch(asked, /upgrade|http2-settings|connection/i);
  });

  test('that nobody asked for is a 502', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const answer = sluice.get('/');
    const upstream = await peer.nextConnection();
    await upstream.receives(/\r\n\r\n$/);

    upstream.send(SWITCHED);

    assert.equal((await answer).status, 502);
    await upstream.closed();
  });
});

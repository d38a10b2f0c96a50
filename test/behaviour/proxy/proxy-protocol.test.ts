import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawClient, rawPeer, startSluice, type RawClient } from '../../support/index.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const SIGNATURE_OF_V2 = String.raw`\r\n\r\n\0\r\nQUIT\n`;

const asks = (client: RawClient, path: string, more = '') =>
  client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`);
const portOf = ({ socket }: RawClient) => socket.localPort!;

test('peers that want the PROXY protocol', async (t) => {
  const plain = await rawPeer(t);
  const encrypted = await rawPeer(t);
  const probed = await rawPeer(t);
  const sluice = await startSluice(
    t,
    `
  upstreams:
    plain: { peers: ['${plain.address}'], proxy_protocol: v1 }
    encrypted: { peers: ['${encrypted.address}'], proxy_protocol: v2, tls: { verify: 'off' } }
    probed:
      peers: ['${probed.address}']
      proxy_protocol: v1
      health_check: { type: http, interval: 100ms }
  services:
    - listen: [127.0.0.1:0]
      trusted_proxies: [127.0.0.0/8]
      routes:
        - { match: { path: /encrypted }, upstream: encrypted }
        - { match: { path: /probed }, upstream: probed }
        - { upstream: plain }
`,
  );

  await t.test('hear of the client before they get its request', async () => {
    const client = await rawClient(t, sluice.port);
    asks(client, '/');
    const connection = await plain.nextConnection();
    const received = await connection.receives(/\r\n\r\n$/);
    const expected = `PROXY TCP4 127.0.0.1 127.0.0.1 ${portOf(client)} ${sluice.port}\r\nGET / HTTP/1.1\r\n`;
    assert.equal(received.slice(0, expected.length), expected);
    connection.send(ANSWER);
    await client.receives(/ok$/);

    asks(client, '/again');
    // Once for a connection, not once for a request.
    await connection.receives(/\r\n\r\nGET \/again HTTP\/1\.1\r\n/);
    connection.send(ANSWER);
    await client.receives(/ok.*ok$/s);
  });

  await t.test('get no request of another client on that connection', async () => {
    const client = await rawClient(t, sluice.port);
    asks(client, '/other');
    const connection = await plain.nextConnection();
    await connection.receives(new RegExp(`^PROXY TCP4 127.0.0.1 127.0.0.1 ${portOf(client)} `));
    connection.send(ANSWER);
    await client.receives(/ok$/);

    asks(client, '/behind-a-proxy', 'X-Forwarded-For: 2001:db8::7\r\n');
    const another = await plain.nextConnection();
    await another.receives(
      new RegExp(`^PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 ${sluice.port}\r\nGET`),
    );
    another.send(ANSWER);
    await client.receives(/ok.*ok$/s);
  });

  await t.test('hear of it before the TLS handshake', async () => {
    const client = await rawClient(t, sluice.port);
    asks(client, '/encrypted');
    const connection = await encrypted.nextConnection();
    const body = String.raw`\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01[^]{4}`;
    await connection.receives(new RegExp(String.raw`^${SIGNATURE_OF_V2}${body}\x16\x03\x01`));
    client.socket.destroy();
  });

  await t.test('hear from a probe that it is nobody’s', async () => {
    const connection = await probed.nextConnection();
    await connection.receives(/^PROXY UNKNOWN\r\nGET \/ HTTP\/1\.1\r\n/);
  });
});

import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startPeer, startSluice } from '../../support/index.ts';

const startPeers = (t: TestContext, count: number) =>
  Promise.all(Array.from({ length: count }, () => startPeer(t)));

const ROUTE = `
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

for (const balance of ['consistent', 'maglev', 'fnv_hash']) {
  test(`${balance} sends a session to the same peer from every worker, and sessions to all peers`, async (t) => {
    const peers = await startPeers(t, 3);
    const addresses = peers.map(({ address }) => `'${address}'`).join(', ');
    const sluice = await startSluice(
      t,
      `
  upstreams:
    api: { balance: ${balance}, hash_key: cookie:session, peers: [${addresses}] }
${ROUTE}`,
      { threads: 2 },
    );
    const peerOf = async (session: number) => {
      const headers = { cookie: `theme=dark; session=${session}` };
      return (await sluice.get('/', { headers })).body;
    };
    const first = await Promise.all(Array.from({ length: 24 }, (_, session) => peerOf(session)));

    for (const [session, body] of first.entries()) {
      for (let nth = 0; nth < 3; nth++) assert.equal(await peerOf(session), body);
    }
    assert.equal(new Set(first).size, 3);
  });
}

test('a backup takes the requests of a peer that is gone, and none before', async (t) => {
  const main = await startPeer(t);
  const backup = await startPeer(t);
  const sluice = await startSluice(
    t,
    `
  upstreams:
    api:
      peers: ['${main.address}', { address: '${backup.address}', backup: true }]
      health_check: { type: tcp, interval: 100ms }
${ROUTE}`,
  );
  for (let nth = 0; nth < 10; nth++)
    assert.equal((await sluice.get('/')).body, `hello from ${main.port}`);

  await main.close();
  for (let nth = 0; nth < 10; nth++)
    assert.equal((await sluice.get('/')).body, `hello from ${backup.port}`);
});

/** Closes a connection as soon as a second request comes on it. */
async function peerForOneRequest(t: TestContext): Promise<string> {
  let name = '';
  const server = createServer((socket) => {
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      requests += 1;
      if (requests > 1) socket.destroy();
      else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
    });
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  name = `127.0.0.1:${port}`;
  return name;
}

test('a key stays with its peer though that closes connections which wait for a request', async (t) => {
  const peers = await Promise.all([1, 2, 3, 4].map(() => peerForOneRequest(t)));
  const sluice = await startSluice(
    t,
    `
  upstreams:
    api:
      balance: consistent
      hash_key: path
      peers: [${peers.map((each) => `'${each}'`).join(', ')}]
${ROUTE}`,
  );
  const first = (await sluice.get('/key')).body;
  assert.ok(peers.includes(first));
  for (let nth = 0; nth < 6; nth++) assert.equal((await sluice.get('/key')).body, first);
});

import assert from 'node:assert/strict';
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

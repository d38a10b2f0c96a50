/** What clients see of peers that fail, with two workers and real sockets. */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { closedPort, eventually, startPeer, startSluice } from '../../support/index.ts';

const gateway = (peers: readonly string[], more = '', ofService = '') => `
  upstreams:
    api: { peers: [${peers.map((each) => `'${each}'`).join(', ')}]${more} }
  services: [{ listen: [127.0.0.1:0], routes: [{ upstream: api }]${ofService} }]
`;

type Sluice = Awaited<ReturnType<typeof startSluice>>;

/** So many at the same time. */
async function statuses(sluice: Sluice, times: number, method = 'GET'): Promise<number[]> {
  const body = method === 'POST' ? { body: 'x' } : {};
  const answers = await Promise.all(
    Array.from({ length: times }, () => sluice.get('/', { method, ...body })),
  );
  return answers.map(({ status }) => status);
}

const all = (status: number, times: number) => Array<number>(times).fill(status);

/** Every tenth connection is reset when it has asked for something; all others are answered and closed. */
async function peerThatResets(t: TestContext): Promise<{ address: string; resets: () => number }> {
  let count = 0;
  let resets = 0;
  const server = createServer((socket: Socket) => {
    count += 1;
    const isTenth = count % 10 === 0;
    socket.on('error', () => {});
    socket.once('data', () => {
      if (isTenth) {
        resets += 1;
        return socket.resetAndDestroy();
      }
      return socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, resets: () => resets };
}

describe('while a peer fails', () => {
  test('by refusing connections, no request does', async (t) => {
    const peer = await startPeer(t);
    const yaml = gateway([`127.0.0.1:${await closedPort()}`, peer.address]);
    const sluice = await startSluice(t, yaml, { threads: 2 });
    // Nothing was sent to the peer that refuses, so this holds for all methods.
    for (const method of ['GET', 'POST'])
      assert.deepEqual(await statuses(sluice, 40, method), all(200, 40));
    const ejected = await sluice.metric('sluice_upstream_ejections_total{upstream="api"}');
    assert.equal(ejected, 1);
  });

  test('by resetting every tenth connection, no GET does, where retries are on', async (t) => {
    const peer = await peerThatResets(t);
    const sluice = await startSluice(t, gateway([peer.address], '', ', retry: { closed: true }'), {
      threads: 2,
    });
    for (let round = 0; round < 6; round++)
      assert.deepEqual(await statuses(sluice, 20), all(200, 20));
    assert.ok(peer.resets() >= 12, `${peer.resets()} resets`);
  });
});

test('while all peers are down, clients hear so at once, and no longer than an interval after one is up', async (t) => {
  const port = await closedPort();
  const check = ', health_check: { type: tcp, interval: 500ms }';
  const sluice = await startSluice(t, gateway([`127.0.0.1:${port}`], check), { threads: 2 });
  await eventually(
    async () => ((await sluice.metric('sluice_upstream_peer_healthy')) === 0 ? true : undefined),
    'the peer to be found ill',
  );
  const asked = performance.now();
  assert.deepEqual(await statuses(sluice, 10), all(503, 10));
  const took = performance.now() - asked;
  assert.ok(took < 5_000, `a timeout is 5 s, this took ${took} ms`);

  await startPeer(t, undefined, port);
  const up = performance.now();
  await eventually(
    async () => ((await sluice.get('/')).status === 200 ? true : undefined),
    'an answer of the peer',
  );
  // Probes are up to a tenth later than the interval; the rest is for a busy machine.
  const waited = performance.now() - up;
  assert.ok(waited < 500 * 1.1 + 1_000, `${waited} ms`);
});

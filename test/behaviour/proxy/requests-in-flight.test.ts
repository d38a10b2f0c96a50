/** Requests under way to a peer are counted over all workers, and every one of them is taken off again. */
import assert from 'node:assert/strict';
import { Agent, type ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import { closedPort, eventually, rawClient, rawPeer, startPeer } from '../../support/index.ts';
import { startSluice, type Sluice } from '../../support/sluice.ts';

const ASK = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

const count = (sluice: Sluice, upstream: string, peer: string) =>
  sluice.metric(`sluice_upstream_peer_requests_in_flight{upstream="${upstream}",peer="${peer}"}`);

const reaches = (sluice: Sluice, upstream: string, peer: string, expected: number) =>
  eventually(
    async () => ((await count(sluice, upstream, peer)) === expected ? true : undefined),
    `${expected} requests under way to ${peer} of ${upstream}`,
  );

/** Answers when the test says so, and not before. */
async function startSlowPeer(t: TestContext) {
  const held: ServerResponse[] = [];
  let asked = Promise.withResolvers<void>();
  const peer = await startPeer(t, (_request, response) => {
    held.push(response);
    asked.resolve();
    asked = Promise.withResolvers();
  });
  return Object.assign(peer, {
    held,
    /** Resolves with the next request. */
    asked: () => asked.promise,
    release: () => held.splice(0).forEach((response) => response.end('late')),
  });
}

test('requests under way', async (t) => {
  const fast = await startPeer(t);
  const slow = await startSlowPeer(t);
  const raw = await rawPeer(t);
  const refusing = `127.0.0.1:${await closedPort()}`;
  const flaky = await startPeer(t, (_request, response) => {
    response.statusCode = 503;
    response.end();
  });
  const sluice = await startSluice(
    t,
    `
    upstreams:
      p2c: { balance: p2c, peers: ['${fast.address}', '${slow.address}'] }
      least: { balance: least_requests, peers: ['${fast.address}', '${slow.address}'] }
      ewma: { balance: ewma, peers: ['${fast.address}', '${slow.address}'] }
      slow: { peers: ['${slow.address}'] }
      raw: { peers: ['${raw.address}'] }
      refusing: { peers: ['${refusing}', { address: '${fast.address}', backup: true }] }
      flaky: { peers: ['${flaky.address}', { address: '${fast.address}', backup: true }] }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        retry: { statuses: [503] }
        routes:
          - { match: { path: /p2c }, upstream: p2c }
          - { match: { path: /least }, upstream: least }
          - { match: { path: /ewma }, upstream: ewma }
          - { match: { path: /slow }, upstream: slow }
          - { match: { path: /raw }, upstream: raw }
          - { match: { path: /refusing }, upstream: refusing }
          - { match: { path: /flaky }, upstream: flaky }
    `,
    { threads: 2 },
  );
  const ask = async (path: string) => {
    const client = await rawClient(t, sluice.port);
    client.send(ASK.replace('/', path));
    return client;
  };

  // An answer that ends its connection is with the client a moment before its end is counted.
  const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  t.after(() => agents.forEach((agent) => agent.destroy()));
  for (const upstream of ['p2c', 'least', 'ewma']) {
    await t.test(`keep both workers from a peer that one waits for: ${upstream}`, async () => {
      const first = [];
      while (slow.held.length === 0) {
        const asked = slow.asked();
        first.push(sluice.get(`/${upstream}`));
        await Promise.race([first.at(-1), asked]);
      }
      for (let nth = 0; nth < 30; nth++) {
        const agent = agents[nth % agents.length]!;
        const { body } = await sluice.get(`/${upstream}`, { agent });
        assert.equal(body, `hello from ${fast.port}`);
      }

      slow.release();
      await Promise.all(first);
      await reaches(sluice, upstream, slow.address, 0);
      await reaches(sluice, upstream, fast.address, 0);
    });
  }

  await t.test('end when the client leaves', async (t) => {
    const clients = await Promise.all([1, 2, 3].map(() => ask('/slow')));
    await reaches(sluice, 'slow', slow.address, 3);
    assert.equal(await count(sluice, 'p2c', slow.address), 0, 'another upstream, another peer');

    for (const { socket } of clients) socket.resetAndDestroy();
    await reaches(sluice, 'slow', slow.address, 0);
    t.after(() => slow.release());
  });

  await t.test('end when the peer breaks off its response', async () => {
    const client = await ask('/raw');
    const origin = await raw.nextConnection();
    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
    await client.receives(/half$/);
    assert.equal(await count(sluice, 'raw', raw.address), 1);

    origin.socket.destroy();
    await reaches(sluice, 'raw', raw.address, 0);
  });

  await t.test('last as long as a tunnel', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    const origin = await raw.nextConnection();
    origin.send(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nhi',
    );
    await client.receives(/hi$/);
    assert.equal(await count(sluice, 'raw', raw.address), 1);

    client.socket.end();
    origin.socket.end();
    await reaches(sluice, 'raw', raw.address, 0);
  });

  for (const [upstream, peer] of [
    ['refusing', refusing],
    ['flaky', flaky.address],
  ] as const) {
    await t.test(`end when another peer is tried, here after one that is ${upstream}`, async () => {
      for (let nth = 0; nth < 4; nth++)
        assert.equal((await sluice.get(`/${upstream}`)).body, `hello from ${fast.port}`);

      await reaches(sluice, upstream, peer, 0);
      await reaches(sluice, upstream, fast.address, 0);
    });
  }

  await t.test('are given back when their worker is killed', async () => {
    for (let nth = 0; nth < 8; nth++) await ask('/slow');
    await reaches(sluice, 'slow', slow.address, 8);

    for (const { pid } of (await sluice.status()).workers) {
      process.kill(pid, 'SIGKILL');
      await sluice.replaced(pid);
    }
    await reaches(sluice, 'slow', slow.address, 0);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/held-clock.ts', import.meta.url));

describe('a rate limit', () => {
  test('of burst 20 admits exactly 20 of 25, over many connections and two workers', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      access_log: stdout
      services:
        - name: edge
          listen: [127.0.0.1:0]
          routes: [{ upstream: api, rate_limit: { key: client_ip, rate: 10/s, burst: 20 } }]
      `,
      { program, threads: 2 },
    );

    const answers = await Promise.all(Array.from({ length: 25 }, () => sluice.get('/')));

    const count = (status: number) => answers.filter((each) => each.status === status).length;
    assert.deepEqual({ ok: count(200), limited: count(429) }, { ok: 20, limited: 5 });
    for (const { status, headers } of answers) {
      assert.equal(headers['retry-after'], status === 429 ? '1' : undefined);
    }
    assert.equal(peer.requests.length, 20);
    assert.equal(
      await sluice.metric('sluice_rate_limit_total{service="edge",result="allowed"}'),
      20,
    );
    assert.equal(
      await sluice.metric('sluice_rate_limit_total{service="edge",result="refused"}'),
      5,
    );
  });

  test('holds for each client by itself, and outlives the worker that counted', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          routes: [{ upstream: api, rate_limit: { key: client_ip, rate: 10/s, burst: 2 } }]
      `,
      { program },
    );
    const statuses = async () => [
      (await sluice.get('/')).status,
      (await sluice.get('/', { localAddress: '127.0.0.2' })).status,
    ];
    assert.deepEqual(await statuses(), [200, 200]);
    assert.deepEqual(await statuses(), [200, 200]);
    assert.deepEqual(await statuses(), [429, 429]);

    const [worker] = (await sluice.status()).workers;
    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);

    assert.deepEqual(await statuses(), [429, 429]);
  });
});

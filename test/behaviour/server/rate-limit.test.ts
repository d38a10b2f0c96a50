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

  test('can be one of several, for some methods, with an answer of its own, or on trial', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          trusted_proxies: [127.0.0.1]
          client_ip_field: forwarded
          routes:
            - upstream: api
              rate_limits:
                - { name: client, rate: 100/s, burst: 4, fields: true, exempt: [198.51.100.0/24] }
                - { name: upload, method: POST, rate: 5/d, burst: 1, status: 503, body: one a day }
                - { name: trial, key: [client_ip, path], rate: 1/h, dry_run: true }
      `,
      { program },
    );
    const send = async (method: string, client: string) =>
      sluice.get('/', { method, headers: { forwarded: `for="[${client}]"` } });

    const first = await send('POST', '2001:db8::1');
    assert.equal(first.status, 200);
    assert.equal(first.headers['ratelimit'], '"client";r=3;t=1');
    assert.equal(first.headers['ratelimit-policy'], '"client";q=4;w=1');

    // Another address of the same network; what the upload limit refuses costs nothing elsewhere.
    for (let time = 0; time < 3; time++) {
      const again = await send('POST', '2001:db8::2');
      assert.deepEqual([again.status, again.body], [503, 'one a day']);
      assert.equal(again.headers['retry-after'], '17280');
    }
    const got = [];
    for (let time = 0; time < 4; time++) got.push((await send('GET', '2001:db8::3')).status);
    assert.deepEqual(got, [200, 200, 200, 429]);
    for (let time = 0; time < 6; time++) {
      const exempt = { headers: { forwarded: 'for=198.51.100.7' } };
      assert.equal((await sluice.get('/', exempt)).status, 200);
    }

    const refused = (limit: string) =>
      sluice.metric(`sluice_limit_refusals_total{limit="edge/0/${limit}"}`);
    assert.equal(await refused('client'), 1);
    assert.equal(await refused('upload'), 3);
    assert.equal(await refused('trial'), 12);
  });
});

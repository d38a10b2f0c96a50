import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rawClient, startPeer, startSluice } from '../../support/index.ts';

const gatewayTo = (address: string) => `
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

describe('a worker killed with SIGKILL', () => {
  test('takes only its own requests with it, while a loop of requests runs', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });
    const outcomes: ('ok' | 'cut' | 'refused' | 'wrong')[] = [];
    let running = true;
    const loop = async () => {
      while (running) {
        outcomes.push(
          await sluice.get('/').then(
            ({ status }) => (status === 200 ? 'ok' : 'wrong'),
            ({ code }: NodeJS.ErrnoException) => (code === 'ECONNREFUSED' ? 'refused' : 'cut'),
          ),
        );
      }
    };
    const loops = Array.from({ length: 4 }, loop);
    const [victim, survivor] = (await sluice.status()).workers;

    process.kill(victim!.pid, 'SIGKILL');
    await sluice.replaced(victim!.pid);
    running = false;
    await Promise.all(loops);

    const count = (outcome: string) => outcomes.filter((each) => each === outcome).length;
    // Each loop has one request at a time, so at most four can have been in the dead worker.
    assert.ok(count('cut') <= 4, `${count('cut')} requests were cut`);
    assert.equal(count('refused'), 0);
    assert.equal(count('wrong'), 0);
    assert.ok(count('ok') > 0);
    const after = await Promise.all(Array.from({ length: 40 }, () => sluice.get('/')));
    assert.ok(after.every(({ status }) => status === 200));

    const status = await sluice.status();
    assert.equal(status.restarts, 1);
    assert.ok(status.workers.some(({ pid }) => pid === survivor!.pid));
    assert.equal(await sluice.metric('sluice_worker_restarts_total'), 1);
  });

  test('leaves the connections it had not accepted yet to its replacement', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const [worker] = (await sluice.status()).workers;

    process.kill(worker!.pid, 'SIGSTOP');
    const waiting = await Promise.all(Array.from({ length: 10 }, () => rawClient(t, sluice.port)));
    for (const client of waiting)
      client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    process.kill(worker!.pid, 'SIGKILL');

    for (const client of waiting) assert.match(await client.closed(), /^HTTP\/1\.1 200 /);
  });

  test('leaves what was counted, and its duty to probe, to the others', async (t) => {
    const peer = await startPeer(t);
    const check = 'health_check: { type: tcp, interval: 100ms, timeout: 1s }';
    const sluice = await startSluice(t, gatewayTo(peer.address).replace('] }', `], ${check} }`));
    assert.equal((await sluice.get('/')).status, 200);
    const [worker] = (await sluice.status()).workers;

    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);
    await peer.close();

    await sluice.logged(({ msg }) => msg === 'peer became ill');
    assert.equal((await sluice.get('/')).status, 503);
    assert.equal(await sluice.metric('sluice_requests_total{service="edge",status="200"}'), 1);
  });
});

describe('connections', () => {
  test('are spread over the workers', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });

    const clients = await Promise.all(Array.from({ length: 64 }, () => rawClient(t, sluice.port)));
    for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await Promise.all(clients.map((client) => client.receives(/hello/)));

    // The odds that one of two workers gets none of 64 connections are 1 to 2^63.
    assert.equal(await sluice.metric('sluice_connections_open{service="edge"}'), 64);
    const peerConnections = peer.connectionCount;
    assert.ok(peerConnections >= 2, `both workers have asked the peer, over ${peerConnections}`);
  });
});

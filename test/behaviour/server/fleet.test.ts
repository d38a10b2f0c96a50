import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  eventually,
  rawClient,
  startPeer,
  startSluice,
  startTraffic,
  temporaryFile,
} from '../../support/index.ts';

const AGES = fileURLToPath(new URL('programs/ages.ts', import.meta.url));

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

const program = fileURLToPath(new URL('programs/asks-for-trouble.ts', import.meta.url));

describe('a slot without a worker', () => {
  test('is served by a neighbour until it has one again', async (t) => {
    const lines = temporaryFile(t, 'lines', '');
    // The fourth process is the first replacement: it never gets ready.
    const sluice = await startSluice(t, `lines: ${lines}\nanswer: one\nhangsFrom: 4`, {
      program,
      threads: 2,
    });
    const [victim] = (await sluice.status()).workers;

    process.kill(victim!.pid, 'SIGKILL');
    await sluice.logged(({ msg }) => msg === 'worker died; replacing it');

    // About half of the connections are in the queue of the slot that lost its worker.
    const answers = await Promise.all(Array.from({ length: 40 }, () => sluice.get('/')));
    assert.ok(answers.every(({ body }) => body === 'one'));
    const { workers } = await sluice.status();
    assert.deepEqual(workers.map(({ state }) => state).sort(), ['ready', 'starting']);
  });
});

describe('a worker', () => {
  test('whose event loop does not turn is killed and replaced', async (t) => {
    const peer = await startPeer(t);
    const more = 'workers: { stuck_after: 2s }';
    const sluice = await startSluice(t, `\n  ${more}${gatewayTo(peer.address)}`);
    const [worker] = (await sluice.status()).workers;

    process.kill(worker!.pid, 'SIGSTOP');
    const { workerPid } = await sluice.logged(
      ({ msg }) => msg === 'worker killed: its event loop does not turn',
    );

    assert.equal(workerPid, worker!.pid);
    await sluice.replaced(worker!.pid);
    assert.equal((await sluice.get('/')).status, 200);
  });

  test('that takes too much memory is renewed, and loses no request', async (t) => {
    const lines = temporaryFile(t, 'lines', '');
    const taking = 'takes: { process: 2, bytes: 300000000 }';
    const yaml = `lines: ${lines}\nanswer: one\n${taking}\nworkers: { max_memory: 250MiB }`;
    const sluice = await startSluice(t, yaml, { program });
    const traffic = startTraffic(t, sluice.port);
    assert.equal((await sluice.get('/')).body, 'one big');

    await sluice.logged(({ msg, why }) => msg === 'worker is renewed' && why === 'big');
    await eventually(
      async () => ((await sluice.get('/')).body === 'one' ? true : undefined),
      'the next worker',
    );
    await traffic.answered(10);

    const { answered: _, ...losses } = await traffic.stop();
    assert.deepEqual(losses, { wrong: 0, refused: 0, cut: 0 });
    assert.equal((await sluice.status()).restarts, 0);
  });

  test('that is too old is renewed, and loses no request', async (t) => {
    const later = join(dirname(temporaryFile(t, 'x', '')), 'later');
    const yaml = `later: ${later}\nworkers: { max_age: 1m }`;
    const sluice = await startSluice(t, yaml, { program: AGES });
    const traffic = startTraffic(t, sluice.port);
    const [worker] = (await sluice.status()).workers;
    assert.equal((await sluice.get('/')).body, String(worker!.pid));

    writeFileSync(later, '');
    await sluice.logged(({ msg, why }) => msg === 'worker is renewed' && why === 'old');
    await eventually(
      async () => ((await sluice.get('/')).body === String(worker!.pid) ? undefined : true),
      'the next worker',
    );
    await traffic.answered(10);

    const { answered: _, ...losses } = await traffic.stop();
    assert.deepEqual(losses, { wrong: 0, refused: 0, cut: 0 });
    assert.equal((await sluice.status()).restarts, 0);
    await eventually(
      async () => ((await sluice.status()).workers.length === 1 ? true : undefined),
      'the old worker to have ended',
    );
  });

  test('is kept on one CPU if that is wanted', async (t) => {
    const peer = await startPeer(t);
    const more = 'workers: { cpu_pinning: true }';
    const sluice = await startSluice(t, `\n  ${more}${gatewayTo(peer.address)}`);
    const [worker] = (await sluice.status()).workers;

    const status = readFileSync(`/proc/${worker!.pid}/status`, 'utf8');
    assert.match(status, /^Cpus_allowed_list:\s*\d+$/m);
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

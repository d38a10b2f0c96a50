import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  eventually,
  get,
  rawClient,
  startPeer,
  startSluice,
} from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/sessions.ts', import.meta.url));

test('a session', async (t) => {
  const held: ServerResponse[] = [];
  const peer = await startPeer(t, (request, response, body) => {
    if (request.url === '/hold' || request.url === '/short-answer') held.push(response);
    else response.end(`got ${body.toString()}, ${String(request.headers['x-read'])}`);
  });
  const yaml = `peer: '${peer.address}'\nclosed: '127.0.0.1:${await closedPort()}'`;
  const sluice = await startSluice(t, yaml, { program });
  const [, allAnswers, choosy] = sluice.addresses;
  const post = (path: string, body: string, headers = {}) =>
    sluice.get(path, { method: 'POST', body, headers });

  await t.test('reads a body for a phase', async () => {
    assert.equal((await post('/read', 'hello')).body, 'hello');
    assert.equal((await post('/read', '0123456789')).body, '0123456789');
    assert.equal((await sluice.get('/read')).body, '');
  });

  for (const path of ['/read', '/buffer']) {
    for (const framing of [{}, { 'transfer-encoding': 'chunked' }]) {
      await t.test(`refuses one that is too long: ${path} ${JSON.stringify(framing)}`, async () => {
        assert.equal((await post(path, '0123456789a', framing)).status, 413);
      });
    }
  }

  await t.test('does not send to the peer what a phase has taken', async () => {
    const before = peer.requests.length;
    assert.equal((await post('/read-and-send', 'hello')).status, 500);
    assert.equal(peer.requests.length, before);
    await sluice.logged(({ err }) => /bufferBody leaves it/.test(JSON.stringify(err)));
  });

  await t.test('lets a body be read and then sent, in each attempt', async () => {
    assert.equal((await post('/buffer', 'hello')).body, 'got hello, hello');
    assert.equal((await post('/buffer/again', 'hello')).body, 'got hello, hello');
    assert.equal(peer.requests.at(-1)!.headers['content-length'], '5');
    const chunked = { 'transfer-encoding': 'chunked' };
    assert.equal((await post('/buffer/again', 'hello', chunked)).body, 'got hello, hello');
    assert.equal((await sluice.get('/buffer')).body, 'got , ');
  });

  await t.test('asks for the body of a client that waits to be asked', async () => {
    const client = await rawClient(t, sluice.port);
    const head =
      'POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
    client.send(head);
    await client.receives(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('hello');
    await client.receives(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhello$/);
  });

  await t.test('gives a client its own time for a body', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
    assert.match(await client.closed(), /^HTTP\/1\.1 408 /);
  });

  await t.test('does not count the client’s time against the phase that waits for it', async () => {
    const client = await rawClient(t, sluice.port);
    const asking = 'Expect: 100-continue\r\nContent-Length: 5\r\n\r\n';
    client.send(`POST /patient-body HTTP/1.1\r\nHost: a\r\n${asking}`);
    await client.receives(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('he');
    // A phase that began later has run out of the same time.
    assert.equal((await sluice.get('/short-phase')).status, 504);
    client.send('llo');
    await client.receives(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhello$/);
  });

  await t.test('has timeouts of its own', async () => {
    assert.equal((await sluice.get('/short-phase')).status, 504);
    await sluice.logged(
      ({ msg, phase }) => msg === 'a phase did not end' && phase === 'requestFilter',
    );
    assert.equal((await sluice.get('/short-answer')).status, 504);
    await sluice.logged(({ err }) => /request-timeout/.test(JSON.stringify(err)));
  });

  await t.test('streams an answer, with and without a length', async () => {
    const answer = await sluice.get('/pieces');
    assert.equal(answer.body, [1, 2, 3, 4, 5].map((n) => `piece ${n}\n`).join(''));
    assert.equal(answer.headers['transfer-encoding'], 'chunked');

    const promised = await sluice.get('/pieces/promised');
    assert.equal(promised.body, 'piece 1\npiece 2\n');
    assert.equal(promised.headers['content-length'], '16');
  });

  await t.test('ends the pieces that nobody will get', async () => {
    const ends = () => sluice.logs.filter(({ msg }) => msg === 'the pieces have ended').length;
    const before = ends();
    const client = await rawClient(t, sluice.port);
    client.send('GET /pieces/for-ever HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.receives(/piece 10\n/);
    client.socket.resetAndDestroy();
    await sluice.until(() => (ends() > before ? true : undefined), 'the end of the pieces');
  });

  await t.test('sends none of them after the head of an answer to HEAD', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('HEAD /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/);
  });

  await t.test('cuts an answer whose pieces break', async () => {
    await assert.rejects(sluice.get('/pieces/broken'), { code: 'ECONNRESET' });
    await sluice.logged(({ err }) => /made for the test/.test(JSON.stringify(err)));
  });

  await t.test('can end the connection', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /last HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(await client.closed(), /^HTTP\/1\.1 204 [^]*\r\nConnection: close\r\n/);
  });

  await t.test('knows both ends of the connection', async () => {
    const facts = JSON.parse((await sluice.get('/facts')).body) as Record<string, unknown>;
    assert.deepEqual(facts['listener'], { address: '127.0.0.1', port: sluice.port });
    assert.equal((facts['client'] as { address: string }).address, '127.0.0.1');
    assert.equal(facts['isShuttingDown'], false);
    assert.equal(facts['scheme'], 'http');
  });

  await t.test('has a response filter for all answers, if the program wants that', async () => {
    const own = await get(allAnswers!.port, '/own');
    assert.deepEqual([own.status, own.headers['x-filtered']], [200, 'yes']);
    const failed = await get(allAnswers!.port, '/');
    assert.deepEqual([failed.status, failed.headers['x-filtered']], [502, 'yes']);
    const page = await get(allAnswers!.port, '/page');
    assert.deepEqual([page.status, page.headers['x-filtered']], [418, 'yes']);
    const headers = { 'x-throw': '1' };
    const broken = await get(allAnswers!.port, '/', { headers });
    assert.deepEqual([broken.status, broken.headers['x-filtered']], [502, undefined]);
    assert.equal((await get(allAnswers!.port, '/own', { headers })).status, 500);

    const client = await rawClient(t, allAnswers!.port);
    client.send('nonsense\r\n\r\n');
    assert.match(await client.closed(), /^HTTP\/1\.1 400 [^]*\r\nx-filtered: yes\r\n/);
  });

  await t.test('is not made for clients that may not connect', async () => {
    assert.equal((await get(choosy!.port, '/')).status, 200);
    for (const localAddress of ['127.0.0.2', '127.0.0.3']) {
      await assert.rejects(get(choosy!.port, '/', { localAddress }), { code: 'ECONNRESET' });
    }
    await sluice.logged(
      ({ phase, client }) => phase === 'connectionFilter' && client === '127.0.0.3',
    );
    assert.equal((await get(choosy!.port, '/')).status, 200);
  });

  await t.test('knows when the process is stopping', async () => {
    const inTime = sluice.get('/hold?');
    assert.equal((await inTime).headers['x-draining'], 'false');
    const late = sluice.get('/hold');
    const response = await eventually(
      async () => held.find(({ req }) => req.url === '/hold'),
      'it',
    );
    sluice.process.kill('SIGTERM');
    await sluice.refusing();
    response.end('done');
    assert.equal((await late).headers['x-draining'], 'true');
  });
});

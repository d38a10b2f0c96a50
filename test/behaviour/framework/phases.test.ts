import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closedPort, rawClient, startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/every-phase.ts', import.meta.url));

const BEFORE_A_PEER = ['newCtx', 'earlyRequestFilter', 'requestFilter', 'proxyUpstreamFilter'];
const SENDING = ['connectedToUpstream', 'upstreamRequestFilter'];
const HEAD = ['upstreamResponseFilter', 'responseFilter'];
const ASKED = [...BEFORE_A_PEER, 'upstreamPeer', ...SENDING];
const REFUSED = [...BEFORE_A_PEER, 'upstreamPeer', 'failToConnect(upstream/connect-refused)'];
const BODY = [
  'upstreamResponseBodyFilter',
  'responseBodyFilter',
  'upstreamResponseBodyFilter:end',
  'responseBodyFilter:end',
];

const orders = [
  {
    name: 'a request that is passed on',
    target: '/plain',
    trail: [...ASKED, ...HEAD, ...BODY],
  },
  {
    name: 'the same with phases that wait',
    target: '/late/plain',
    trail: [...ASKED, ...HEAD, ...BODY],
  },
  {
    name: 'a request with a body',
    target: '/post',
    body: 'x',
    trail: [...ASKED, 'requestBodyFilter', 'requestBodyFilter:end', ...HEAD, ...BODY],
  },
  {
    name: 'a body with trailers',
    target: '/trailers',
    trail: [
      ...ASKED,
      ...HEAD,
      'upstreamResponseBodyFilter',
      'responseBodyFilter',
      'upstreamResponseBodyFilter:end',
      // What the end of the body lets through goes on before the fields after it.
      'upstreamResponseTrailerFilter',
      'responseBodyFilter:end',
      'responseTrailerFilter',
    ],
  },
  {
    name: 'a request that is sent again',
    target: '/again',
    trail: [...REFUSED, 'upstreamPeer', ...SENDING, ...HEAD, ...BODY],
  },
  {
    name: 'the same with phases that wait',
    target: '/late/again',
    trail: [...REFUSED, 'upstreamPeer', ...SENDING, ...HEAD, ...BODY],
  },
  {
    name: 'a request for which no peer answers',
    target: '/refused',
    status: 502,
    code: 'upstream/connect-refused',
    trail: [
      ...BEFORE_A_PEER,
      ...Array.from({ length: 3 }, () => [
        'upstreamPeer',
        'failToConnect(upstream/connect-refused)',
      ]).flat(),
      'failToProxy',
    ],
  },
  {
    name: 'a peer that closes instead of answering, on a pooled connection and then on a new one',
    target: '/broken',
    status: 502,
    code: 'upstream/closed',
    trail: [
      ...ASKED,
      'errorWhileProxy(upstream/idle-connection-closed)',
      'upstreamPeer',
      ...SENDING,
      'errorWhileProxy(upstream/closed)',
      'failToProxy',
    ],
  },
  {
    name: 'an answer of its own',
    target: '/own',
    trail: ['newCtx', 'earlyRequestFilter', 'requestFilter'],
  },
];

/** Where each phase is asked to fail; those that only a failure reaches need one first. */
const failing = [
  { phase: 'earlyRequestFilter', under: '' },
  { phase: 'requestFilter', under: '' },
  { phase: 'proxyUpstreamFilter', under: '' },
  { phase: 'upstreamPeer', under: '' },
  { phase: 'connectedToUpstream', under: '' },
  { phase: 'upstreamRequestFilter', under: '' },
  { phase: 'upstreamResponseFilter', under: '' },
  { phase: 'responseFilter', under: '' },
  { phase: 'failToConnect', under: '/refused' },
  { phase: 'errorWhileProxy', under: '/broken' },
];

const unread = [
  {
    name: 'a request that breaks the protocol',
    wire: 'GET / HTTP/1.1\nHost: a\r\n\r\n',
    status: 400,
  },
  { name: 'an endless target', wire: `GET /${'x'.repeat(9_000)}`, status: 414 },
];

test('the phases of a program', async (t) => {
  const peer = await startPeer(t, (request, response) => {
    if (request.url!.startsWith('/broken')) {
      request.socket.destroy();
      return;
    }
    if (request.url !== '/trailers') {
      response.end('hello');
      return;
    }
    response.writeHead(200, { trailer: 'x-after' });
    response.write('hello');
    response.addTrailers({ 'x-after': 'yes' });
    response.end();
  });
  const yaml = `peer: '${peer.address}'\nclosed: '127.0.0.1:${await closedPort()}'`;
  const sluice = await startSluice(t, yaml, { program });
  const ended = (target: string, since = 0) =>
    sluice.logged(
      (line, index) => index >= since && line.msg === 'ended' && line['target'] === target,
    );

  for (const { name, target, body, status = 200, code, trail } of orders) {
    await t.test(`run in order: ${name}`, async () => {
      const method = body === undefined ? 'GET' : 'POST';
      const init = body === undefined ? {} : { body };
      const answer = await sluice.get(target, { method, ...init });
      assert.equal(answer.status, status);
      const line = await ended(target);
      assert.deepEqual(line['trail'], trail);
      assert.equal(line['status'], status);
      assert.equal(line['code'], code);
    });
  }

  await t.test('let a connection in before anything else', async () => {
    const connections = async () =>
      (JSON.parse((await sluice.get('/own')).body) as { connections: number }).connections;
    const before = await connections();
    assert.equal(await connections(), before + 1);
  });

  for (const { name, wire, status } of unread) {
    await t.test(`choose the answer to ${name}, and log it`, async () => {
      const since = sluice.logs.length;
      const client = await rawClient(t, sluice.port);
      client.send(wire);
      const received = await client.closed();
      assert.match(received, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(received, /\r\nConnection: close\r\n/);
      assert.match(received, /\{"code":"downstream\/[a-z-]+"\}/);
      const line = await ended('', since);
      assert.deepEqual(line['trail'], ['newCtx', 'failToProxy']);
      assert.equal(line['status'], status);
    });
  }

  await t.test('see a CONNECT that is refused', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n');
    assert.match(await client.closed(), /^HTTP\/1\.1 405 [^]*"downstream\/method-not-allowed"/);
    const line = await ended('a:80');
    assert.deepEqual(line['trail'], ['newCtx', 'failToProxy']);
  });

  for (const { phase, under } of failing) {
    await t.test(`are a 500 and a log line with their name when they throw: ${phase}`, async () => {
      const target = `${under}/throw/${phase}`;
      assert.equal((await sluice.get(target)).status, 500);
      const line = await ended(target);
      assert.equal(line['code'], 'internal/filter-threw');
      const said = await sluice.logged(
        ({ msg, phase: named }) => msg === 'a phase threw' && named === phase,
      );
      assert.equal(said['requestId'], line['requestId']);
      assert.equal(said['request'], `GET as ${String(line['requestId'])}`);
      assert.match(JSON.stringify(said['err']), new RegExp(`made in ${phase}`));
    });
  }

  await t.test('that throw before anything was sent leave the connection to others', async () => {
    assert.equal((await sluice.get('/plain')).status, 200);
    const before = peer.connectionCount;
    for (let n = 0; n < 3; n++) {
      assert.equal((await sluice.get('/throw/upstreamRequestFilter')).status, 500);
    }
    assert.equal((await sluice.get('/plain')).status, 200);
    assert.equal(peer.connectionCount, before);
  });

  await t.test('cut a response whose body they break', async () => {
    for (const phase of ['upstreamResponseBodyFilter', 'responseBodyFilter']) {
      await assert.rejects(sluice.get(`/throw/${phase}`), { code: 'ECONNRESET' });
      await sluice.logged(({ msg, phase: named }) => msg === 'a phase threw' && named === phase);
    }
  });

  await t.test('fail a request whose body they break', async () => {
    const init = { method: 'POST', body: 'x' };
    assert.equal((await sluice.get('/throw/requestBodyFilter', init)).status, 500);
  });

  await t.test('leave the usual answer when the failure phase throws as well', async () => {
    const target = '/refused/throw/failToProxy';
    const answer = await sluice.get(target);
    assert.equal(answer.status, 502);
    assert.equal(answer.body, '502 Bad Gateway\n');
    assert.equal((await ended(target))['code'], 'upstream/connect-refused');
    await sluice.logged(({ phase }) => phase === 'failToProxy');
  });

  await t.test('that fail at the end are logged, and the request has ended', async () => {
    assert.equal((await sluice.get('/throw/logging')).status, 200);
    await sluice.logged(({ msg, phase }) => msg === 'a phase threw' && phase === 'logging');
  });

  await t.test('pass a value from one request of a connection to the next', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /own HTTP/1.1\r\nHost: a\r\nX-Keep: 42\r\n\r\n');
    await client.receives(/connections/);
    const since = sluice.logs.length;
    client.send('GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await client.closed();
    const line = await ended('/plain', since);
    assert.equal((line['trail'] as string[])[1], 'onConnectionReuse(42)');
  });

  await t.test('can keep a failure out of the process log', async () => {
    const headers = { 'x-quiet': '1' };
    const since = sluice.logs.length;
    assert.equal((await sluice.get('/refused', { headers })).status, 502);
    await ended('/refused', since);
    const later = sluice.logs.slice(since);
    assert.deepEqual(
      later.filter(({ msg }) => msg === 'request failed'),
      [],
    );
  });

  await t.test('of one worker were enough for all of this', async () => {
    assert.equal((await sluice.status()).restarts, 0);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { LoadBalancer, type CircuitBreakerOptions } from 'sluice';
import { testProxy } from 'sluice/testing';
import { rawClient, startPeer, startSluice } from '../../support/index.ts';

const PEER = '10.0.0.1:80';

function world(circuitBreaker: CircuitBreakerOptions) {
  return testProxy(() => {
    const balancer = new LoadBalancer([PEER], { name: 'app', circuitBreaker });
    return { upstreamPeer: () => balancer.select() };
  });
}

describe('an upstream with a circuit breaker', () => {
  test('gets no more requests at a time, and the others when those have ended', async () => {
    await using of = await world({ maxRequests: 2 });
    of.peer.answer({ delayMs: 100 });
    const answers = Array.from({ length: 6 }, () => of.fetch('/'));
    await of.clock.advance(50);
    assert.equal(of.peer.requests.length, 2);
    await of.clock.advance(100);
    assert.equal(of.peer.requests.length, 4);
    await of.clock.advance(200);
    for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200);
  });

  test('lets nobody wait for ever: a 503 that says when to come back', async () => {
    await using of = await world({ maxRequests: 1, pendingTimeoutMs: 500 });
    of.peer.answer('hang');
    void of.fetch('/').catch(() => {});
    const waiting = of.fetch('/');
    await of.clock.advance(520);
    const answer = await waiting;
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get('retry-after'), '1');
    const line = of.log.find(({ msg }) => msg === 'request failed');
    assert.match(
      (line!['err'] as Error).message,
      /1 requests to app are under way, and none of them ended within 500 ms/,
    );
  });

  test('turns away at once those that are too many to wait', async () => {
    await using of = await world({ maxRequests: 1, maxPending: 1 });
    of.peer.answer('hang');
    for (let nth = 0; nth < 2; nth++) void of.fetch('/').catch(() => {});
    await of.clock.advance(0);
    const answer = await of.fetch('/');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get('retry-after'), '1');
  });

  test('counts a request that fails as one that has ended', async () => {
    await using of = await world({ maxRequests: 1, maxPending: 0 });
    for (const how of ['reset', 'close'] as const) {
      of.peer.answer(how);
      for (let nth = 0; nth < 4; nth++) {
        assert.equal((await of.fetch('/', { method: 'POST', body: 'x' })).status, 502);
      }
    }
    of.peer.connects = 'refuse';
    for (let nth = 0; nth < 4; nth++) assert.equal((await of.fetch('/')).status, 502);
    of.peer.connects = 'accept';
    of.peer.answer({});
    assert.equal((await of.fetch('/')).status, 200);
  });
});

test('a circuit breaker counts over all workers, and forgets those who left', async (t) => {
  const peer = await startPeer(t, (request, response) => {
    if (request.url !== '/held') response.end('ok');
  });
  const sluice = await startSluice(
    t,
    `
  upstreams:
    api:
      peers: ['${peer.address}']
      circuit_breaker: { max_requests: 2, pending_timeout: 20s }
  services: [{ listen: [127.0.0.1:0], routes: [{ upstream: api }] }]
`,
    { threads: 2 },
  );
  const ask = async (path: string) => {
    const client = await rawClient(t, sluice.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return client;
  };
  const clients = await Promise.all(Array.from({ length: 12 }, () => ask('/held')));
  const late = await ask('/late');
  // Time for one too many: there is no sign of a request that is not sent.
  await setTimeout(300);
  assert.equal(peer.requests.length, 2);

  for (const client of clients) client.socket.resetAndDestroy();
  await late.receives(/ok$/);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpPeer } from 'sluice';
import { testProxy, type TestWorld } from 'sluice/testing';
import { everyPhase } from './programs/every-phase-proxy.ts';

const [GOOD, BAD] = ['10.0.0.1:80', '10.0.0.2:80'] as const;
const PATIENCE_MS = 200;

/** Where each phase is asked to hang; those that only a failure reaches need one first. */
const waitedFor = [
  { phase: 'earlyRequestFilter', under: '' },
  { phase: 'requestFilter', under: '' },
  { phase: 'proxyUpstreamFilter', under: '' },
  { phase: 'upstreamPeer', under: '' },
  { phase: 'connectedToUpstream', under: '' },
  { phase: 'upstreamRequestFilter', under: '' },
  { phase: 'requestBodyFilter', under: '', init: { method: 'POST', body: 'x' } },
  { phase: 'upstreamResponseFilter', under: '' },
  { phase: 'responseFilter', under: '' },
  { phase: 'failToConnect', under: '/refused' },
  { phase: 'errorWhileProxy', under: '/broken' },
];

describe('a phase that never ends', () => {
  for (const { phase, under, init } of waitedFor) {
    test(`is a 504 and a log line with its name: ${phase}`, async () => {
      await using world = await openWorld();
      const pending = world.fetch(`${under}/hang/${phase}`, init);

      await world.clock.advance(PATIENCE_MS - 1);
      assert.equal(world.accessLog.length, 0);
      await world.clock.advance(101);

      assert.equal((await pending).status, 504);
      assert.equal(world.accessLog[0]?.error?.code, 'internal/phase-timeout');
      assert.deepEqual(phasesThatDidNotEnd(world), [phase]);
    });
  }

  for (const phase of ['upstreamResponseBodyFilter', 'responseBodyFilter']) {
    test(`cuts the response whose body it holds: ${phase}`, async () => {
      await using world = await openWorld();
      const cut = assert.rejects(world.fetch(`/hang/${phase}`), { code: 'ECONNRESET' });

      await world.clock.advance(PATIENCE_MS + 100);

      await cut;
      assert.deepEqual(phasesThatDidNotEnd(world), [phase]);
    });
  }

  for (const phase of [
    'requestFilter',
    'upstreamRequestFilter',
    'requestBodyFilter',
    'responseFilter',
  ]) {
    test(`answers nobody if the client has left meanwhile: ${phase}`, async () => {
      await using world = await openWorld();
      const client = world.client();
      const lost = assert.rejects(client.fetch(`/hang/${phase}`, { method: 'POST', body: 'x' }));
      await world.clock.advance(0);

      client.reset();
      await lost;
      await world.clock.advance(PATIENCE_MS + 100);

      const ended = world.log.find(({ msg }) => msg === 'ended');
      const trail = ended?.['trail'] as readonly string[];
      assert.equal(ended?.['status'], 0);
      assert.ok(!trail.includes('failToProxy'), 'nobody was there');
    });
  }

  test('leaves the usual answer if it was to answer a failure', async () => {
    await using world = await openWorld();
    const pending = world.fetch('/refused/hang/failToProxy');

    await world.clock.advance(PATIENCE_MS + 100);

    const answer = await pending;
    assert.deepEqual([answer.status, answer.text], [502, '502 Bad Gateway\n']);
    assert.equal(world.accessLog[0]?.error?.code, 'upstream/connect-refused');
    assert.deepEqual(phasesThatDidNotEnd(world), ['failToProxy']);
  });
});

async function openWorld(): Promise<TestWorld> {
  const proxy = everyPhase(new HttpPeer(GOOD), new HttpPeer(BAD));
  const world = await testProxy(proxy, { phaseTimeoutMs: PATIENCE_MS });
  world.peerAt(BAD).connects = 'refuse';
  world.peerAt(GOOD).answer(({ target }) => (target.startsWith('/broken') ? 'close' : {}));
  return world;
}

function phasesThatDidNotEnd({ log }: TestWorld): unknown[] {
  return log.filter(({ msg }) => msg === 'a phase did not end').map(({ phase }) => phase);
}

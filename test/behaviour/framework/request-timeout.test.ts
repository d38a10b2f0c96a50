import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpPeer } from 'sluice';
import { testProxy, type PeerAnswer } from 'sluice/testing';

const proxy = { upstreamPeer: () => new HttpPeer('10.0.0.1:80') };
const options = {
  requestTimeoutMs: 10_000,
  retry: { statuses: [503], backOffMs: 60_000, maxBackOffMs: 60_000 },
};

describe('a request takes no longer in all than it may', () => {
  const cases: { name: string; answer: PeerAnswer }[] = [
    { name: 'its peer says nothing', answer: 'hang' },
    { name: 'it pauses before the next attempt', answer: { status: 503 } },
  ];
  for (const { name, answer } of cases) {
    test(`though ${name}`, async (t) => {
      // The pause is a random part of the back-off: this one is longer than the request may take.
      t.mock.method(Math, 'random', () => 0.9);
      await using world = await testProxy(proxy, options);
      world.peer.answer(answer);
      const pending = world.fetch('/');

      await world.clock.advance(9_900);
      assert.equal(world.accessLog.length, 0);
      await world.clock.advance(200);

      assert.equal((await pending).status, 504);
      assert.equal(world.accessLog[0]?.error?.code, 'upstream/request-timeout');
      assert.equal(world.peer.requests.length, 1);
    });
  }
});

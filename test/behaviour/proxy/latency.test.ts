/** Peers by how long they take: measured to the head of each response, on the clock of the test. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ewma, HttpPeer, LoadBalancer, type ProxyHttp } from 'sluice';
import { testProxy } from 'sluice/testing';

const [QUICK, SLOW] = ['10.0.0.1:8080', '10.0.0.2:8080'] as const;

const balanced = (): ProxyHttp => {
  const balancer = new LoadBalancer([QUICK, SLOW], { name: 'app', selection: ewma() });
  return {
    upstreamPeer: ({ peer: failed }) =>
      balancer.selectWith((peer) => peer !== failed) ?? balancer.select(),
  };
};

async function balancedWorld(proxy: () => ProxyHttp = balanced) {
  const world = await testProxy(proxy);
  world.peerAt(QUICK).answer({ delayMs: 10 });
  world.peerAt(SLOW).answer({ delayMs: 200 });
  return {
    world,
    /** A peer that nobody knows is drawn as often as any other, so this ends by chance: soon. */
    async untilBothAreKnown() {
      const isKnown = (address: string) => world.peerAt(address).requests.length > 0;
      while (!isKnown(QUICK) || !isKnown(SLOW)) await this.slowOf(1);
    },
    /** One after the other. @returns how many of them the slow peer got */
    async slowOf(requests: number): Promise<number> {
      const before = world.peerAt(SLOW).requests.length;
      for (let nth = 0; nth < requests; nth++) {
        const pending = world.fetch('/');
        await world.clock.advance(200);
        await pending;
      }
      return world.peerAt(SLOW).requests.length - before;
    },
    [Symbol.asyncDispose]: () => world.close(),
  };
}

describe('a balancer that goes by latency', () => {
  test('sends next to nothing to a slow peer, and looks at it again now and then', async () => {
    await using balance = await balancedWorld();

    await balance.untilBothAreKnown();
    assert.equal(await balance.slowOf(20), 0);

    // A latency that nobody confirms fades: after a minute a two hundred and fiftieth is left.
    await balance.world.clock.advance(60_000);
    assert.ok((await balance.slowOf(10)) >= 1);
  });

  test('does not take a peer for quick that fails at once', async () => {
    await using balance = await balancedWorld();
    await balance.untilBothAreKnown();
    const { world } = balance;
    world.peerAt(SLOW).connects = 'refuse';
    world.peerAt(SLOW).dropConnections();
    await balance.slowOf(5);

    const lines = world.log.filter(({ msg }) => msg === 'request needed more than one attempt');
    assert.ok(lines.length <= 1, `${lines.length}`);
  });

  test('measures also through a peer that the program makes of the selected one', async () => {
    await using balance = await balancedWorld(() => {
      const balancer = new LoadBalancer([QUICK, SLOW], { name: 'app', selection: ewma() });
      return { upstreamPeer: () => new HttpPeer(balancer.select(), { readTimeoutMs: 5_000 }) };
    });

    await balance.untilBothAreKnown();
    assert.equal(await balance.slowOf(20), 0);
  });
});

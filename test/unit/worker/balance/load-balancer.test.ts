import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PeerTable, peerTableSize } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { allBalancers, LoadBalancer } from '../../../../src/worker/balance/load-balancer.ts';

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

/** Names are unique in a process, and tests share one. */
let named = 0;
const newName = () => `api-${named++}`;

function newTable(): PeerTable {
  return new PeerTable(
    createSegment({ name: 'peers', layout: 1, size: peerTableSize() }, undefined),
  );
}

/** A balancer of three peers with a table, and the word of its prober. */
function probed() {
  const balancer = new LoadBalancer(THREE, { name: newName() });
  const table = newTable();
  balancer.useTable(table);
  const judge = (address: string, verdict: 'healthy' | 'ill') =>
    table.setVerdict(table.row(balancer.name, address), verdict, 1);
  return { balancer, judge };
}

const asked = (balancer: LoadBalancer, times: number): string[] =>
  Array.from({ length: times }, () => balancer.select().address);

describe('a load balancer', () => {
  test('spreads requests evenly, before anybody knows a table', () => {
    const addresses = asked(new LoadBalancer(THREE, { name: newName() }), 30);

    for (const address of THREE)
      assert.equal(addresses.filter((each) => each === address).length, 10);
  });

  test('uses a peer that nobody has looked at yet', () => {
    const { balancer } = probed();

    assert.deepEqual(new Set(asked(balancer, 3)), new Set(THREE));
  });

  test('leaves an ill peer alone, and takes it back when it is well', () => {
    const { balancer, judge } = probed();
    judge(THREE[1]!, 'ill');
    assert.deepEqual(new Set(asked(balancer, 20)), new Set([THREE[0], THREE[2]]));

    judge(THREE[1]!, 'healthy');
    assert.deepEqual(new Set(asked(balancer, 20)), new Set(THREE));
  });

  test('throws when no peer may be used, and says how many there are', () => {
    const { balancer, judge } = probed();
    for (const address of THREE) judge(address, 'ill');

    assert.throws(() => balancer.select(), {
      name: 'ProxyError',
      code: 'upstream/none-healthy',
      message: `upstream/none-healthy: none of the 3 peers of ${balancer.name} may be used`,
    });
  });

  test('gives no traffic to a peer of weight 0, and twice as much to one of weight 2', () => {
    const balancer = new LoadBalancer(
      ['10.0.0.1:80', { address: '10.0.0.2:80', weight: 2 }, { address: '10.0.0.3:80', weight: 0 }],
      { name: newName() },
    );
    const addresses = asked(balancer, 300);
    const count = (address: string) => addresses.filter((each) => each === address).length;

    assert.equal(count('10.0.0.3:80'), 0);
    assert.ok(Math.abs(count('10.0.0.2:80') - 200) <= 2);
  });

  test('offers only peers that the caller takes', () => {
    const { balancer } = probed();
    const failed = balancer.select();

    for (let nth = 0; nth < 10; nth++) {
      assert.notEqual(
        balancer.selectWith((peer) => peer !== failed),
        failed,
      );
    }
    assert.equal(
      balancer.selectWith(() => false),
      undefined,
    );
  });

  test('makes its peers with its own name and options', () => {
    const name = newName();
    const balancer = new LoadBalancer(['[::1]:8080'], { name, peerOptions: { maxIdle: 3 } });
    const peer = balancer.select();

    assert.deepEqual(
      [peer.upstream, peer.address, peer.host, peer.port, peer.maxIdle],
      [name, '[::1]:8080', '::1', 8080, 3],
    );
    assert.ok(allBalancers().includes(balancer));
  });

  test('is refused without a peer, with a wrong address, or under a name that is taken', () => {
    const name = newName();

    assert.throws(() => new LoadBalancer([], { name }), /expected at least one peer/);
    assert.throws(
      () => new LoadBalancer(['10.0.0.1'], { name }),
      /^TypeError: peer address: expected "host:port", "\[ipv6\]:port" or "unix:\/path", got "10\.0\.0\.1"/,
    );
    assert.ok(new LoadBalancer(THREE, { name }), 'the name is still free');
    assert.throws(
      () => new LoadBalancer(THREE, { name }),
      /exists already; each needs a name of its own/,
    );
  });
});

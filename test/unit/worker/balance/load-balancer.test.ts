import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PeerTable, peerTableSize } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';
import type { Ejection } from '../../../../src/worker/balance/outlier-detection.ts';
import { consistent } from '../../../../src/worker/balance/consistent.ts';
import {
  allBalancers,
  LoadBalancer,
  type LoadBalancerOptions,
  type PeerSpec,
} from '../../../../src/worker/balance/load-balancer.ts';

import { p2c } from '../../../../src/worker/balance/p2c.ts';

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

/** Names are unique in a process, and tests share one. */
let named = 0;
const newName = () => `api-${named++}`;

function newTable(): PeerTable {
  return new PeerTable(
    createSegment({ name: 'peers', layout: 1, size: peerTableSize(2) }, undefined),
  );
}

/** A balancer of three peers with a table, and the word of its prober. */
function probed(
  options: Partial<LoadBalancerOptions> = {},
  peers: readonly (string | PeerSpec)[] = THREE,
) {
  const balancer = new LoadBalancer(peers, { name: newName(), ...options });
  const table = newTable();
  const clock = { nowNs: 1e9 };
  const ejections: Ejection[] = [];
  balancer.useTable(table, () => clock.nowNs, {
    onEjected: (ejection) => ejections.push(ejection),
  });
  const judge = (address: string, verdict: 'healthy' | 'ill') =>
    table.setVerdict(table.row(balancer.name, address), verdict, clock.nowNs);
  return { balancer, judge, clock, ejections };
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

  test('looks at no more peers than the caller allows', () => {
    const { balancer, judge } = probed({ selection: consistent() });
    const home = balancer.select('a').address;
    judge(home, 'ill');

    assert.throws(() => balancer.select('a', 1), { code: 'upstream/none-healthy' });
    assert.notEqual(balancer.select('a', 2).address, home);
  });

  test('with an algorithm that goes by a key, gives a key to one peer and asks for the key', () => {
    const { balancer } = probed({ selection: consistent() });
    const addresses = Array.from({ length: 10 }, () => balancer.select('client').address);

    assert.equal(new Set(addresses).size, 1);
    assert.throws(
      () => balancer.select(),
      /^TypeError: LoadBalancer "[^"]+" chooses by consistent: give select\(\) the key of the request/,
    );
  });

  test('uses peers of a higher priority only while none of a lower one may be used', () => {
    const [first, second, backup] = THREE as [string, string, string];
    const { balancer, judge } = probed({}, [
      first,
      { address: second, weight: 0 },
      { address: backup, priority: 1 },
    ]);

    assert.deepEqual(new Set(asked(balancer, 10)), new Set([first]));
    judge(first, 'ill');
    assert.deepEqual(new Set(asked(balancer, 10)), new Set([backup]));
    judge(first, 'healthy');
    assert.deepEqual(new Set(asked(balancer, 10)), new Set([first]));
  });

  test('in panic, uses all peers again, until enough of them are well', () => {
    const { balancer, judge } = probed({ panicThresholdPercent: 60 });
    judge(THREE[0]!, 'ill');
    assert.deepEqual(new Set(asked(balancer, 30)), new Set(THREE.slice(1)), '67 % are well');
    judge(THREE[1]!, 'ill');
    assert.deepEqual(new Set(asked(balancer, 30)), new Set(THREE), '33 % are');
    judge(THREE[2]!, 'ill');
    assert.deepEqual(new Set(asked(balancer, 30)), new Set(THREE), 'none is');
  });

  test('gives a peer that was ill its share back little by little', (t) => {
    const { balancer, judge, clock } = probed({ slowStartMs: 10_000 });
    const [returning] = THREE as [string];
    const count = () => asked(balancer, 300).filter((address) => address === returning).length;
    judge(returning, 'healthy');
    assert.equal(count(), 100, 'it was never ill');

    judge(returning, 'ill');
    judge(returning, 'healthy');
    const draws = Array.from({ length: 100 }, (_, nth) => (nth + 0.5) / 100);
    let nth = 0;
    t.mock.method(Math, 'random', () => draws[nth++ % draws.length]!);
    const counts = [0, 2_500, 5_000, 10_000].map((elapsedMs) => {
      clock.nowNs = 1e9 + elapsedMs * 1e6;
      return count();
    });

    assert.ok(counts[0]! > 0 && counts[0]! < 25, counts.join());
    assert.ok(counts[1]! > counts[0]! && counts[2]! > counts[1]!, counts.join());
    assert.equal(counts[3], 100, counts.join());
  });

  test('uses a peer that only just came back, if there is no other', () => {
    const { balancer, judge } = probed({ slowStartMs: 10_000 });
    for (const address of THREE) judge(address, 'ill');
    judge(THREE[0]!, 'healthy');

    assert.deepEqual(new Set(asked(balancer, 50)), new Set([THREE[0]]));
  });

  test('refuses numbers that make no sense', () => {
    const name = newName();

    assert.throws(
      () => new LoadBalancer([{ address: THREE[0]!, weight: -1 }], { name }),
      /weight of 10\.0\.0\.1:80: expected 0 or more, got -1/,
    );
    assert.throws(
      () => new LoadBalancer(THREE, { name, panicThresholdPercent: 101 }),
      /panicThresholdPercent: expected 0 to 100, got 101/,
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

describe('requests to the peers of a balancer', () => {
  const busy = (table: PeerTable | undefined) => {
    const balancer = new LoadBalancer(THREE, { name: newName(), selection: p2c() });
    if (table !== undefined) balancer.useTable(table, () => 1e9);
    return balancer;
  };
  const inFlight = ({ peers }: LoadBalancer) => peers.map((peer) => peer.inFlight);

  test('are counted where everybody sees them, until they are over, and once', () => {
    const table = newTable();
    table.load.join();
    const balancer = busy(table);
    const attempts = balancer.peers.map(({ peer }) => peer.observer!.attempt());
    assert.deepEqual(inFlight(balancer), [1, 1, 1]);
    assert.equal(table.load.inFlight(table.row(balancer.name, THREE[0]!)), 1);

    attempts[0]!.responded(200);
    assert.deepEqual(inFlight(balancer), [1, 1, 1], 'its body may be on its way');
    attempts[0]!.ended();
    attempts[0]!.ended();
    attempts[1]!.ended(new ProxyError('upstream/connect-refused', 'refused'));
    assert.deepEqual(inFlight(balancer), [0, 0, 1]);
  });

  test('are counted in the process where there is no table, or no row left in it', () => {
    const balancer = busy(undefined);
    const attempt = balancer.peers[0]!.attempt();

    assert.deepEqual(inFlight(balancer), [1, 0, 0]);
    for (let nth = 0; nth < 20; nth++) assert.notEqual(balancer.select().address, THREE[0]);
    attempt.ended();
    assert.deepEqual(inFlight(balancer), [0, 0, 0]);
  });

  test('end where they began, though the peer has a row by then', () => {
    const balancer = busy(undefined);
    const attempt = balancer.peers[0]!.attempt();
    const table = newTable();
    table.load.join();
    balancer.useTable(table, () => 1e9);
    attempt.ended();

    assert.deepEqual(inFlight(balancer), [0, 0, 0]);
  });

  test('go on counting when a peer that stays gets another weight', () => {
    const table = newTable();
    table.load.join();
    const balancer = busy(table);
    const attempt = balancer.peers[0]!.peer.observer!.attempt();
    balancer.update([{ address: '10.0.0.9:80' }]);
    assert.deepEqual(inFlight(balancer), [0, 1, 0, 0]);

    attempt.ended();
    assert.deepEqual(inFlight(balancer), [0, 0, 0, 0]);
  });
});

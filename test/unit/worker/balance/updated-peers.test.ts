/** What moves in a balancer when its peers change, and what must not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { slotName } from '../../../../src/shared/memory/discovered-set.ts';
import { PeerTable } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { PEERS_SEGMENT, standardSegments } from '../../../../src/shared/memory/segments.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';
import { consistent } from '../../../../src/worker/balance/consistent.ts';
import { ewma } from '../../../../src/worker/balance/ewma.ts';
import {
  LoadBalancer,
  type LoadBalancerOptions,
} from '../../../../src/worker/balance/load-balancer.ts';
import { staticPeers } from '../../../../src/worker/discovery/static.ts';

const TEN = Array.from({ length: 10 }, (_, at) => ({ address: `10.0.0.${at}:80`, slot: at }));

describe('a balancer whose peers change', () => {
  test('keeps what is known of those that stay, and their connections', () => {
    const { balancer, judge } = scene();
    balancer.update(TEN);
    const before = balancer.peers;
    judge(3, 'ill');

    balancer.update([...TEN.slice(2), { address: '10.0.0.99:80', slot: 0 }]);
    const byAddress = new Map(balancer.peers.map((each) => [each.address, each]));
    for (const each of before.slice(2)) assert.equal(byAddress.get(each.address), each);
    assert.equal(balancer.isHealthy(byAddress.get('10.0.0.3:80')!), false);

    const weighted = TEN.map((each) => ({ ...each, weight: 2 }));
    balancer.update(weighted);
    const [first] = balancer.peers;
    assert.equal(first?.weight, 2);
    assert.equal(balancer.peers[3]?.peer, before[3]?.peer, 'connections belong to the peer');
    assert.equal(balancer.isHealthy(balancer.peers[3]!), false);
  });

  test('does not take the load of one that has gone for that of the one in its place', () => {
    const { balancer } = scene({ selection: ewma() });
    const [first, second] = [
      { address: '10.0.0.1:80', slot: 0 },
      { address: '10.0.0.2:80', slot: 0 },
    ];
    balancer.update([first]);
    const [before] = balancer.peers;
    before?.attempt()?.ended();
    const hanging = before?.attempt();
    assert.ok(before!.latencyUs > 0);

    balancer.update([second]);
    const [after] = balancer.peers;
    assert.equal(after?.row, before?.row);
    assert.equal(after?.inFlight, 0, 'what the one before has under way is not of this one');
    const own = after?.attempt();
    hanging?.ended();
    assert.deepEqual([after?.inFlight, after?.latencyUs], [1, 0]);
    own?.ended();
    assert.equal(after?.inFlight, 0);

    // Whoever has kept the peer that has gone may still use it.
    before?.peer.observer?.attempt();
    assert.equal(after?.inFlight, 0);
  });

  test('moves only the keys of one that leaves', () => {
    const { balancer } = scene({ selection: consistent() });
    balancer.update(TEN);
    const keys = Array.from({ length: 1_000 }, (_, at) => `key-${at}`);
    const before = keys.map((key) => balancer.select(key).address);
    balancer.update(TEN.slice(1));
    const after = keys.map((key) => balancer.select(key).address);
    const moved = keys.filter((_, at) => before[at] !== after[at]);
    assert.ok(moved.length > 0);
    assert.deepEqual(
      moved.map((key) => before[keys.indexOf(key)]),
      moved.map(() => TEN[0]!.address),
    );
  });

  test('prefers what was written down to what was found of the same address', () => {
    const { balancer } = scene({}, [{ address: '10.0.0.1:80', weight: 7 }]);
    balancer.update([
      { address: '10.0.0.1:80', weight: 1, slot: 0 },
      { address: '10.0.0.2:80', slot: 1 },
    ]);
    assert.deepEqual(
      new Map(balancer.peers.map(({ address, weight }) => [address, weight])),
      new Map([
        ['10.0.0.1:80', 7],
        ['10.0.0.2:80', 1],
      ]),
    );
  });

  test('changes nothing when one of the new ones is no peer', () => {
    const { balancer } = scene();
    balancer.update(TEN);
    assert.throws(() => balancer.update([{ address: 'nonsense' }]), TypeError);
    assert.equal(balancer.peers.length, 10);
    assert.ok(balancer.select());
  });

  test('refuses to choose while there are none', () => {
    const { balancer } = scene();
    assert.throws(() => balancer.select(), /none of the 0 peers of updated-\d+ may be used/);
    balancer.update(TEN);
    balancer.update([]);
    assert.throws(() => balancer.select(), /may be used/);
  });
});

let named = 0;

function scene(
  options: Partial<LoadBalancerOptions> = {},
  given: ConstructorParameters<typeof LoadBalancer>[0] = [],
) {
  const name = `updated-${named++}`;
  const discovery = staticPeers([]);
  const balancer = new LoadBalancer(given, { name, discovery, ...options });
  const specs = standardSegments(
    new MetricsLayout({ services: [], upstreams: [], program: [] }),
    1,
  );
  const table = new PeerTable(
    createSegment(
      specs.find((spec) => spec.name === PEERS_SEGMENT)!,
      undefined,
    ),
  );
  table.load.join();
  balancer.useTable(table, () => 1e9);
  const judge = (slot: number, verdict: 'healthy' | 'ill') =>
    table.setVerdict(table.row(name, slotName(discovery.source, slot)), verdict, 1e9);
  return { balancer, judge };
}

import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { collectLog } from '../../../../src/server/testing/collected-log.ts';
import { HeldTime } from '../../../../src/server/testing/held-time.ts';
import { PeerTable } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { PEERS_SEGMENT, standardSegments } from '../../../../src/shared/memory/segments.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import { TcpHealthCheck } from '../../../../src/worker/balance/health-check.ts';
import { LoadBalancer } from '../../../../src/worker/balance/load-balancer.ts';
import { staticPeers } from '../../../../src/worker/discovery/static.ts';
import { startProber } from '../../../../src/worker/health/prober.ts';
import type { Dial } from '../../../../src/worker/upstream/dial.ts';

const peersAt = (host: string, count: number) =>
  Array.from({ length: count }, (_, at) => ({ address: `${host}:${at + 1}`, slot: at }));

describe('a prober of peers that come and go', () => {
  test('begins with those that come, and gives up those that go, also in the middle of a probe', (t) => {
    const { balancer, probed, cancelled } = scene(t);
    // More than are probed at a time, and none of them ever answers.
    balancer.update(peersAt('10.0.0.1', 100));
    assert.equal(probed.size, 64);
    balancer.update(peersAt('10.0.0.2', 1));
    assert.ok(probed.has('10.0.0.2:1'), 'the turns of those that went are free again');
    assert.equal(cancelled.size, probed.size - 1);
  });

  test('does not take a new peer for the one whose row it has got', (t) => {
    const { balancer, table } = scene(t);
    balancer.update(peersAt('10.0.0.1', 1));
    const row = balancer.peers[0]!.row;
    table.setVerdict(row, 'ill', 1);

    balancer.update([{ ...peersAt('10.0.0.1', 1)[0]!, weight: 2 }]);
    assert.equal(table.verdict(row), 'ill', 'with another weight it is the same peer');
    balancer.update(peersAt('10.0.0.2', 1));
    assert.equal(balancer.peers[0]?.row, row);
    assert.equal(table.verdict(row), 'unknown');
  });
});

let named = 0;

function scene(t: TestContext) {
  const balancer = new LoadBalancer([], {
    name: `probed-${named++}`,
    discovery: staticPeers([]),
    healthCheck: new TcpHealthCheck(),
  });
  const layout = new MetricsLayout({ services: [], upstreams: [], program: [] });
  const spec = standardSegments(layout, 1).find(({ name }) => name === PEERS_SEGMENT)!;
  const table = new PeerTable(createSegment(spec, undefined));
  const time = new HeldTime();
  balancer.useTable(table, time.clock);
  const [probed, cancelled] = [new Set<string>(), new Set<string>()];
  const silent: Dial = ({ address }) => {
    probed.add(address);
    return () => void cancelled.add(address);
  };
  const stop = startProber({
    balancers: [balancer],
    table,
    time,
    deadlines: new Deadlines(time),
    dial: silent,
    log: collectLog([]),
  });
  t.after(stop);
  return { balancer, table, probed, cancelled };
}

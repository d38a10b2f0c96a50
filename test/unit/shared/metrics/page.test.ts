import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { MetricsTable, metricsTableSize } from '../../../../src/shared/memory/metrics-table.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';
import { Recorder } from '../../../../src/shared/metrics/recorder.ts';
import { MetricsPage, type MetricsSource } from '../../../../src/shared/metrics/page.ts';

const ROWS = 3;

describe('the metrics page', () => {
  test('adds up what all workers counted', async () => {
    const fleet = newFleet();
    fleet.workers[0]!.service('edge').requestEnded(200, 1 / 64, 1, 100);
    fleet.workers[1]!.service('edge').requestEnded(200, 1 / 8, 2, 200);
    fleet.workers[1]!.service('edge').requestEnded(502, 40, 0, 0);
    fleet.workers[1]!.service('edge').failed('upstream/connect-refused');
    fleet.workers[0]!.upstream('api').opened();

    const page = await fleet.page();

    assert.equal(page.get('sluice_requests_total{service="edge",status="200"}'), 2);
    assert.equal(page.get('sluice_requests_total{service="edge",status="502"}'), 1);
    assert.equal(
      page.get('sluice_errors_total{service="edge",code="upstream/connect-refused"}'),
      1,
    );
    assert.equal(page.get('sluice_request_bytes_total{service="edge"}'), 3);
    assert.equal(page.get('sluice_response_bytes_total{service="edge"}'), 300);
    assert.equal(page.get('sluice_upstream_connections_opened_total{upstream="api"}'), 1);
    const bucket = (le: string) =>
      page.get(`sluice_request_duration_seconds_bucket{service="edge",le="${le}"}`);
    assert.deepEqual(['0.01', '0.025', '0.25', '30', '+Inf'].map(bucket), [0, 1, 2, 2, 3]);
    assert.equal(page.get('sluice_request_duration_seconds_count{service="edge"}'), 3);
    assert.equal(page.get('sluice_request_duration_seconds_sum{service="edge"}'), 40 + 9 / 64);
  });

  test('keeps the totals of a worker that has died, and forgets what it had open', async () => {
    const fleet = newFleet();
    const edge = fleet.workers[0]!.service('edge');
    edge.connectionOpened();
    edge.requestStarted();
    edge.requestEnded(200, 0.02, 0, 0);
    edge.requestStarted();

    fleet.table.fold(1, fleet.layout.passingSlots);

    const page = await fleet.page();
    assert.equal(page.get('sluice_requests_total{service="edge",status="200"}'), 1);
    assert.equal(page.get('sluice_connections_accepted_total{service="edge"}'), 1);
    assert.equal(page.get('sluice_connections_open{service="edge"}'), 0);
    assert.equal(page.get('sluice_requests_in_flight{service="edge"}'), 0);
  });

  test('lists a status only once it was sent, and everything else from the start', async () => {
    const page = await newFleet().page();
    const names = [...page.keys()];

    assert.ok(!names.some((name) => name.startsWith('sluice_requests_total{')));
    assert.ok(!names.some((name) => name.startsWith('sluice_errors_total{')));
    assert.equal(page.get('sluice_rate_limit_total{service="edge",result="allowed"}'), 0);
    assert.equal(page.get('sluice_upstream_retries_total{upstream="api"}'), 0);
  });

  test('tells about workers, peers, limits and the build', async () => {
    const fleet = newFleet({
      restarts: () => 4,
      shared: false,
      peers: () => [
        { upstream: 'api', peer: '10.0.0.1:80', healthy: true, inFlight: 3 },
        { upstream: 'api', peer: '10.0.0.2:80', healthy: false, inFlight: 3 },
      ],
      discoveries: () => [],
      limits: () => [{ name: 'edge/0', evictions: 7, refusals: 9 }],
    });
    fleet.workers[1]!.processFigures(5_000_000, 1.5, 0.01);

    const page = await fleet.page();

    assert.equal(page.get('sluice_workers{state="ready"}'), 1);
    assert.equal(page.get('sluice_workers{state="starting"}'), 1);
    assert.equal(page.get('sluice_worker_restarts_total'), 4);
    assert.equal(page.get('sluice_worker_resident_memory_bytes{worker="2"}'), 5_000_000);
    assert.equal(page.get('sluice_worker_cpu_seconds_total{worker="2"}'), 1.5);
    assert.equal(page.get('sluice_upstream_peer_healthy{upstream="api",peer="10.0.0.1:80"}'), 1);
    assert.equal(page.get('sluice_upstream_peer_healthy{upstream="api",peer="10.0.0.2:80"}'), 0);
    assert.equal(page.get('sluice_limit_evictions_total{limit="edge/0"}'), 7);
    assert.equal(page.get('sluice_limit_refusals_total{limit="edge/0"}'), 9);
    assert.equal(page.get('sluice_shared_memory'), 0);
    assert.equal(page.get(`sluice_build_info{version="1.2.3",node="${process.versions.node}"}`), 1);
  });

  test('has help and type for each of its metrics, and every line can be read', async () => {
    const text = await newFleet().text();
    const families = new Set<string>();
    for (const line of text.split('\n')) {
      const head = /^# (?:HELP|TYPE) (\w+)/.exec(line);
      if (head !== null) families.add(head[1]!);
      else if (line !== '')
        assert.match(line, /^\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? ([-+.\deE]+|Nan)$/);
    }
    for (const name of families) {
      assert.match(text, new RegExp(`^# HELP ${name} .`, 'm'));
      assert.match(text, new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, 'm'));
    }
    assert.ok([...families].filter((name) => name.startsWith('sluice_')).length >= 20);
  });
});

function newFleet(more: Partial<MetricsSource> = {}) {
  const layout = new MetricsLayout({ services: ['edge'], upstreams: ['api'] });
  const size = metricsTableSize(ROWS, layout.slots);
  const segment = createSegment({ name: 'metrics', layout: 1, size }, undefined);
  const table = new MetricsTable(segment, layout.slots);
  const source: MetricsSource = {
    layout,
    table,
    labels: undefined,
    workers: () => [
      { slot: 1, row: 1, state: 'starting' },
      { slot: 2, row: 2, state: 'ready' },
    ],
    restarts: () => 0,
    peers: () => [],
    discoveries: () => [],
    limits: () => [],
    shared: true,
    version: '1.2.3',
    ...more,
  };
  const metricsPage = new MetricsPage(source, 'fleet-and-process');
  return {
    layout,
    table,
    labels: undefined,
    workers: [1, 2].map((row) => new Recorder(table.rowView(row), layout)),
    text: () => metricsPage.text(),
    async page() {
      const lines = (await metricsPage.text()).split('\n').filter((line) => /^[^#]/.test(line));
      return new Map(
        lines.map((line) => {
          const at = line.lastIndexOf(' ');
          return [line.slice(0, at), Number(line.slice(at + 1))] as const;
        }),
      );
    },
  };
}

/** The figures in shared memory: this worker's own row, and the view of all of them. */
import type { Boot } from '../shared/ipc/boot.ts';
import type { Log } from '../shared/log/log.ts';
import { DiscoveredSet, discoveredSetSpec } from '../shared/memory/discovered-set.ts';
import { LabelTable } from '../shared/memory/label-table.ts';
import { limitCounts } from '../shared/memory/limit-table.ts';
import { MetricsTable } from '../shared/memory/metrics-table.ts';
import type { Segment } from '../shared/memory/segment.ts';
import { LABELS_SEGMENT, METRICS_SEGMENT } from '../shared/memory/segments.ts';
import {
  MetricsLayout,
  ProcessSlot,
  WORKER_STATES,
  type WorkerState,
} from '../shared/metrics/layout.ts';
import type { MetricsSource } from '../shared/metrics/page.ts';
import { bindMetrics } from '../shared/metrics/program.ts';
import { monotonicNs } from '../shared/time/clock.ts';
import { Recorder } from '../shared/metrics/recorder.ts';
import { allBalancers } from './balance/load-balancer.ts';
import { limiterSpecs } from './limits/rate-limiter.ts';

export interface FiguresParts {
  readonly boot: Boot;
  readonly need: (segment: string) => Segment;
  readonly metricsRow: number;
  readonly log: Log;
}

export interface Figures {
  readonly recorder: Recorder;
  /** What a metrics page is made of. */
  source(version: string): MetricsSource;
}

export function openFigures({ boot, need, metricsRow, log }: FiguresParts): Figures {
  const { threads } = boot.settings;
  const layout = MetricsLayout.of(boot);
  const segment = need(METRICS_SEGMENT);
  const table = new MetricsTable(segment, layout.slots);
  const row = table.rowView(metricsRow);
  // Of a predecessor that hands over, the workers are in the same table, and are not ours to count.
  const supervisorPid = table.ownerOf(metricsRow)?.supervisorPid;
  const labels = layout.labelRows === 0 ? undefined : new LabelTable(need(LABELS_SEGMENT));
  bindMetrics({ layout, row, labels, log });
  return {
    recorder: new Recorder(row, layout),
    source: (version) => ({
      layout,
      table,
      labels,
      workers: () => workersIn(table, supervisorPid, threads),
      restarts: () => table.rowView(0)[ProcessSlot.restarts]!,
      peers: peersIn,
      discoveries: () =>
        allBalancers().flatMap(({ name: upstream, discovery }) => {
          if (discovery === undefined) return [];
          const set = new DiscoveredSet(need(discoveredSetSpec(upstream, discovery.source).name));
          return [{ upstream, ...set.figures(monotonicNs()) }];
        }),
      limits: () => limiterSpecs().map(({ name }) => limitCounts(need(name))),
      shared: segment.fd !== undefined,
      version,
    }),
  };
}

/** For each slot the process that serves or will; and those that only finish what they have. */
function workersIn(
  table: MetricsTable,
  supervisorPid: number | undefined,
  threads: number,
): ReturnType<MetricsSource['workers']> {
  const workers: { slot: number; row: number; state: WorkerState }[] = [];
  for (let row = 1; row < table.rows; row++) {
    const view = table.rowView(row);
    const number = view[ProcessSlot.worker]!;
    if (number === 0 || table.ownerOf(row)?.supervisorPid !== supervisorPid) continue;
    workers.push({ slot: number - 1, row, state: WORKER_STATES[view[ProcessSlot.state]!]! });
  }
  for (let slot = 0; slot < threads; slot++) {
    if (!workers.some((each) => each.slot === slot && each.state !== 'draining'))
      workers.push({ slot, row: 0, state: 'waiting' });
  }
  return workers.toSorted((one, other) => one.slot - other.slot);
}

function peersIn(): ReturnType<MetricsSource['peers']> {
  return allBalancers().flatMap((balancer) =>
    balancer.peers.map((balanced) => ({
      upstream: balancer.name,
      peer: balanced.address,
      healthy: balancer.isHealthy(balanced),
      inFlight: balanced.inFlight,
    })),
  );
}

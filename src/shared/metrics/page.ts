/** Renders the figures of all workers, read from shared memory, with prom-client. */
import { collectDefaultMetrics, Registry, type MetricType } from 'prom-client';
import { errorCodes } from '../errors/catalog.ts';
import type { LabelTable } from '../memory/label-table.ts';
import type { LimitCounts } from '../memory/limit-table.ts';
import type { MetricsTable } from '../memory/metrics-table.ts';
import { DURATION_BUCKETS } from './buckets.ts';
import {
  ProcessSlot,
  ServiceSlot,
  UpstreamSlot,
  WORKER_STATES,
  type MetricsLayout,
} from './layout.ts';
import { programSamples } from './program-samples.ts';
import type { Sample } from './sample.ts';

/** The figures of all processes; slots are those of the layout. */
export type FiguresTable = Pick<MetricsTable, 'sum' | 'rowView'>;

export interface MetricsSource {
  /** Another one after a reload that changes what is counted. */
  readonly layout: MetricsLayout;
  readonly table: FiguresTable;
  /** Absent if no metric of the program needs it. */
  readonly labels: LabelTable | undefined;
  readonly workers: () => readonly {
    readonly slot: number;
    readonly row: number;
    readonly state: string;
  }[];
  readonly restarts: () => number;
  readonly peers: () => readonly {
    readonly upstream: string;
    readonly peer: string;
    readonly healthy: boolean;
    readonly inFlight: number;
  }[];
  readonly discoveries: () => readonly DiscoveryFigures[];
  readonly limits: () => readonly LimitCounts[];
  /** Memory is shared between the workers. */
  readonly shared: boolean;
  readonly version: string;
  /** Only where it is known, in the supervisor; at: milliseconds since 1970. */
  readonly lastReload?: () => { readonly successful: boolean; readonly at: number };
}

/** Of an upstream whose peers are discovered. */
export interface DiscoveryFigures {
  readonly upstream: string;
  readonly peers: number;
  /** Since the set was last found to be true; `undefined`: there is none yet. */
  readonly ageSeconds: number | undefined;
  readonly isFailing: boolean;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: (source: MetricsSource) => Sample[];
}

/** Every metric of Sluice itself, once. */
const metrics: readonly Metric[] = [
  {
    name: 'sluice_requests_total',
    help: 'Requests, by the status sent; 0 if the client left first.',
    type: 'counter',
    samples: (source) =>
      perService(source, (sum, service) =>
        Array.from({ length: 600 }, (_, status) => ({
          value: sum(ServiceSlot.statuses + status),
          labels: { service, status },
        })).filter(hasValue),
      ),
  },
  {
    name: 'sluice_errors_total',
    help: 'Requests that failed, by the code of the error catalog.',
    type: 'counter',
    samples: (source) =>
      perService(source, (sum, service) =>
        errorCodes
          .map((code, index) => ({
            value: sum(ServiceSlot.errors + index),
            labels: { service, code },
          }))
          .filter(hasValue),
      ),
  },
  {
    name: 'sluice_request_duration_seconds',
    help: 'From the end of the request head to the end of the response.',
    type: 'histogram',
    samples: durations,
  },
  serviceMetric(
    'sluice_requests_in_flight',
    'Requests being answered now.',
    'gauge',
    ServiceSlot.inFlight,
  ),
  serviceMetric(
    'sluice_subrequests_total',
    'Subrequests that phases have made; the other figures of a service are about requests of clients.',
    'counter',
    ServiceSlot.subrequests,
  ),
  serviceMetric(
    'sluice_connections_open',
    'Client connections open now.',
    'gauge',
    ServiceSlot.connectionsOpen,
  ),
  serviceMetric(
    'sluice_connections_accepted_total',
    'Client connections accepted.',
    'counter',
    ServiceSlot.connectionsAccepted,
  ),
  {
    name: 'sluice_connections_refused_total',
    help: 'Client connections closed at once, because the service or the client has too many.',
    type: 'counter',
    samples: (source) =>
      perService(source, (sum, service) => [
        { value: sum(ServiceSlot.refusedFull), labels: { service, reason: 'full' } },
        { value: sum(ServiceSlot.refusedPerClient), labels: { service, reason: 'per-client' } },
      ]),
  },
  {
    name: 'sluice_tls_handshakes_total',
    help: 'TLS handshakes with clients; one that failed has cost its connection.',
    type: 'counter',
    samples: (source) =>
      perService(source, (sum, service) => [
        { value: sum(ServiceSlot.handshakesDone), labels: { service, result: 'done' } },
        { value: sum(ServiceSlot.handshakesFailed), labels: { service, result: 'failed' } },
      ]),
  },
  serviceMetric(
    'sluice_request_bytes_total',
    'Request body bytes read from clients; of a TCP service, all bytes.',
    'counter',
    ServiceSlot.requestBytes,
  ),
  serviceMetric(
    'sluice_response_bytes_total',
    'Response body bytes written to clients; of a TCP service, all bytes.',
    'counter',
    ServiceSlot.responseBytes,
  ),
  {
    name: 'sluice_rate_limit_total',
    help: 'Decisions of rate limits.',
    type: 'counter',
    samples: (source) =>
      perService(source, (sum, service) => [
        { value: sum(ServiceSlot.limitAllowed), labels: { service, result: 'allowed' } },
        { value: sum(ServiceSlot.limitRefused), labels: { service, result: 'refused' } },
      ]),
  },
  upstreamMetric(
    'sluice_upstream_connections_opened_total',
    'Connections made to peers.',
    UpstreamSlot.opened,
  ),
  upstreamMetric(
    'sluice_upstream_connections_reused_total',
    'Requests sent over a pooled connection.',
    UpstreamSlot.reused,
  ),
  upstreamMetric(
    'sluice_upstream_retries_total',
    'Requests sent again to a peer.',
    UpstreamSlot.retried,
  ),
  upstreamMetric(
    'sluice_upstream_ejections_total',
    'Peers that were left alone for a while because requests to them failed.',
    UpstreamSlot.ejected,
  ),
  {
    name: 'sluice_upstream_peer_healthy',
    help: '1 if the peer may be used, 0 if it is ill or ejected.',
    type: 'gauge',
    samples: ({ peers }) =>
      peers().map(({ upstream, peer, healthy }) => ({
        value: healthy ? 1 : 0,
        labels: { upstream, peer },
      })),
  },
  discoveryMetric(
    'sluice_discovery_failing',
    '1 while the source of an upstream’s peers does not tell them; the last set stays in use.',
    ({ isFailing }) => (isFailing ? 1 : 0),
  ),
  discoveryMetric(
    'sluice_discovery_age_seconds',
    'Since the peers of an upstream were last found to be the ones that there are.',
    ({ ageSeconds }) => ageSeconds,
  ),
  discoveryMetric(
    'sluice_discovery_peers',
    'Peers that the source of an upstream has told of last.',
    ({ peers }) => peers,
  ),
  {
    name: 'sluice_upstream_peer_requests_in_flight',
    help: 'Requests under way to the peer now, of all workers.',
    type: 'gauge',
    samples: ({ peers }) =>
      peers().map(({ upstream, peer, inFlight: value }) => ({ value, labels: { upstream, peer } })),
  },
  {
    name: 'sluice_workers',
    help: 'Worker slots, by state.',
    type: 'gauge',
    samples({ workers }) {
      const states = workers().map(({ state }) => state);
      return WORKER_STATES.map((state) => ({
        value: states.filter((each) => each === state).length,
        labels: { state },
      }));
    },
  },
  {
    name: 'sluice_worker_restarts_total',
    help: 'Workers that died and were replaced.',
    type: 'counter',
    samples: ({ restarts }) => [{ value: restarts(), labels: {} }],
  },
  workerMetric(
    'sluice_worker_resident_memory_bytes',
    'Resident memory of a worker.',
    'gauge',
    ProcessSlot.residentBytes,
  ),
  workerMetric(
    'sluice_worker_cpu_seconds_total',
    'CPU time of a worker’s process.',
    'counter',
    ProcessSlot.cpuSeconds,
  ),
  workerMetric(
    'sluice_worker_event_loop_delay_seconds',
    '99th percentile of the event loop’s delay, last second.',
    'gauge',
    ProcessSlot.eventLoopDelay,
  ),
  {
    name: 'sluice_limit_refusals_total',
    help: 'Checks that a limit has refused, or would have, on trial.',
    type: 'counter',
    samples: ({ limits }) =>
      limits().map(({ name, refusals }) => ({ value: refusals, labels: { limit: name } })),
  },
  {
    name: 'sluice_limit_evictions_total',
    help: 'Keys that lost their row while they still owed something: the limit’s max_keys is too small.',
    type: 'counter',
    samples: ({ limits }) =>
      limits().map(({ name, evictions }) => ({ value: evictions, labels: { limit: name } })),
  },
  {
    name: 'sluice_shared_memory',
    help: '1 if workers share limits, health and figures; 0 if each has its own.',
    type: 'gauge',
    samples: ({ shared }) => [{ value: shared ? 1 : 0, labels: {} }],
  },
  {
    name: 'sluice_config_last_reload_successful',
    help: '1 if the last reload of the configuration was successful, 0 if it was refused.',
    type: 'gauge',
    samples: ({ lastReload }) =>
      lastReload === undefined ? [] : [{ value: lastReload().successful ? 1 : 0, labels: {} }],
  },
  {
    name: 'sluice_config_last_reload_timestamp_seconds',
    help: 'When the last reload was tried, or the start; seconds since 1970.',
    type: 'gauge',
    samples: ({ lastReload }) =>
      lastReload === undefined ? [] : [{ value: lastReload().at / 1_000, labels: {} }],
  },
  {
    name: 'sluice_build_info',
    help: 'Always 1; the labels say what runs.',
    type: 'gauge',
    samples: ({ version }) => [{ value: 1, labels: { version, node: process.versions.node } }],
  },
];

export class MetricsPage {
  readonly #registry = new Registry();
  readonly #source: MetricsSource;
  #layout: MetricsLayout | undefined;
  #ofProgram: readonly Metric[] = [];

  /** @param about whether to tell about this process, too, as prom-client does: memory, event loop, garbage */
  constructor(source: MetricsSource, about: 'fleet' | 'fleet-and-process') {
    this.#source = source;
    if (about === 'fleet-and-process') collectDefaultMetrics({ register: this.#registry });
    for (const metric of metrics) this.#register(metric);
  }

  /** In the text format 0.0.4. */
  text(): Promise<string> {
    this.#followLayout();
    return this.#registry.metrics();
  }

  #followLayout(): void {
    const { layout } = this.#source;
    if (layout === this.#layout) return;
    for (const { name } of this.#ofProgram) this.#registry.removeSingleMetric(name);
    this.#ofProgram = metricsOfProgram(layout);
    for (const metric of this.#ofProgram) this.#register(metric);
    this.#layout = layout;
  }

  #register({ name, help, type, samples }: Metric): void {
    const metric = {
      name,
      help,
      type,
      aggregator: 'sum',
      get: () =>
        Promise.resolve({
          name,
          help,
          type: type as unknown as MetricType,
          values: samples(this.#source),
          aggregator: 'sum',
        }),
    };
    // The library's type wants its own classes; it uses `name` and `get` alone.
    this.#registry.registerMetric(metric as never);
  }
}

function metricsOfProgram(layout: MetricsLayout): Metric[] {
  return layout.program.map((place) => ({
    name: place.spec.name,
    help: place.spec.help,
    type: place.spec.kind,
    samples: ({ table, labels }) => programSamples(place, table, labels),
  }));
}

type Sum = (slot: number) => number;

function perService(
  { layout, table }: MetricsSource,
  samples: (sum: Sum, service: string) => Sample[],
): Sample[] {
  return layout.services.flatMap((service) => {
    const start = layout.serviceStart(service);
    return samples((slot) => table.sum(start + slot), service);
  });
}

function serviceMetric(name: string, help: string, type: Metric['type'], slot: number): Metric {
  return {
    name,
    help,
    type,
    samples: (source) =>
      perService(source, (sum, service) => [{ value: sum(slot), labels: { service } }]),
  };
}

function upstreamMetric(name: string, help: string, slot: number): Metric {
  const samples = ({ layout, table }: MetricsSource) =>
    layout.upstreams.map((upstream) => ({
      value: table.sum(layout.upstreamStart(upstream)! + slot),
      labels: { upstream },
    }));
  return { name, help, type: 'counter', samples };
}

function discoveryMetric(
  name: string,
  help: string,
  valueOf: (figures: DiscoveryFigures) => number | undefined,
): Metric {
  const samples = ({ discoveries }: MetricsSource) =>
    discoveries().flatMap((figures) => {
      const value = valueOf(figures);
      return value === undefined ? [] : [{ value, labels: { upstream: figures.upstream } }];
    });
  return { name, help, type: 'gauge', samples };
}

function workerMetric(name: string, help: string, type: Metric['type'], slot: number): Metric {
  const samples = ({ table, workers }: MetricsSource) =>
    [...serving(workers())].map(([worker, row]) => ({
      value: table.rowView(row)[slot] ?? 0,
      labels: { worker },
    }));
  return { name, help, type, samples };
}

/** The row of each slot's process. One that only drains would be a second line of the same name. */
function serving(workers: ReturnType<MetricsSource['workers']>): ReadonlyMap<number, number> {
  const live = workers.filter(({ row, state }) => row > 0 && state !== 'draining');
  return new Map(live.map(({ slot, row }) => [slot, row]));
}

function durations(source: MetricsSource): Sample[] {
  const name = 'sluice_request_duration_seconds';
  return perService(source, (sum, service) => {
    let count = 0;
    const buckets = [...DURATION_BUCKETS, '+Inf'].map((le, index) => {
      count += sum(ServiceSlot.durations + index);
      return { value: count, labels: { service, le }, metricName: `${name}_bucket` };
    });
    return [
      ...buckets,
      { value: sum(ServiceSlot.durationSum), labels: { service }, metricName: `${name}_sum` },
      { value: count, labels: { service }, metricName: `${name}_count` },
    ];
  });
}

function hasValue({ value }: Sample): boolean {
  return value !== 0;
}

/** The worker of a test: in this process, with memory of its own and one service. */
import { defaultConfig } from '../../shared/config/load.ts';
import { formatProblems } from '../../shared/config/problem.ts';
import type { Boot } from '../../shared/ipc/boot.ts';
import { createSegment, type Segment } from '../../shared/memory/segment.ts';
import { standardSegments } from '../../shared/memory/segments.ts';
import { MetricsLayout } from '../../shared/metrics/layout.ts';
import type { MetricsSource } from '../../shared/metrics/page.ts';
import { discoverySpecs } from '../../worker/discovered-peers.ts';
import { buildWorker, type Worker, type WorkerParts } from '../../worker/start.ts';
import { planOf } from '../plan.ts';
import type { HttpProxyService } from '../service.ts';
import { version } from '../version.ts';

export interface TestWorker {
  readonly worker: Worker;
  readonly figures: MetricsSource;
}

export async function startTestWorker(
  service: HttpProxyService,
  parts: Pick<WorkerParts, 'time' | 'log' | 'accessLog' | 'network'>,
): Promise<TestWorker> {
  const { name, proxy, timing: own } = service;
  const boot = bootOf(service);
  let figures: MetricsSource | undefined;
  const showMetrics = (source: MetricsSource) => {
    figures = source;
    service.showMetrics?.(source);
  };
  const worker = buildWorker({
    ...parts,
    boot,
    services: [{ name, proxy, settings: boot.services[0]!, own, showMetrics }],
    segments: segmentsFor(boot),
    slot: 0,
    metricsRow: 1,
    version: version(),
  });
  await worker.accept(0, [
    { key: 'test', service: name, place: ANYWHERE, tls: undefined, fd: undefined },
  ]);
  worker.take('health-probes');
  return { worker, figures: figures! };
}

/** Where the network is memory, nobody looks at it. */
const ANYWHERE = { host: '127.0.0.1', port: 0 };

function bootOf(service: HttpProxyService): Boot {
  const loaded = defaultConfig(process.env);
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems, loaded.source));
  const settings = { ...loaded.settings, threads: 1 };
  return { ...planOf([service], { settings, user: {}, pem: {} }), segments: [] };
}

function segmentsFor(boot: Boot): ReadonlyMap<string, Segment> {
  const specs = [
    ...standardSegments(MetricsLayout.of(boot), 1),
    ...boot.limits,
    ...discoverySpecs(),
  ];
  return new Map(specs.map((spec) => [spec.name, createSegment(spec, undefined)]));
}

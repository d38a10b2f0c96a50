/**
 * `docs/reference/metrics.md`, from the page that Prometheus would get: it is
 * rendered here with one of everything, so that no metric can be left out.
 */
import { MetricsTable, metricsTableSize } from '../../src/shared/memory/metrics-table.ts';
import { createSegment } from '../../src/shared/memory/segment.ts';
import { DURATION_BUCKETS } from '../../src/shared/metrics/buckets.ts';
import { MetricsLayout } from '../../src/shared/metrics/layout.ts';
import { MetricsPage } from '../../src/shared/metrics/page.ts';
import { code, generatedFrom, table } from './markdown.ts';

/** Labels whose values depend on the configuration or are too many to list. */
const labelMeanings: Readonly<Record<string, string>> = {
  service: 'name of the service',
  upstream: 'name of the upstream',
  peer: '`host:port`',
  worker: 'number of the worker’s slot, from 0; it stays when the process is replaced',
  limit: '`limit:` and the limiter’s name; of a file’s route, `limit:SERVICE/NUMBER`, from 0',
  status: 'HTTP status; 0: nobody was there to read one',
  code: 'see [errors](errors.md)',
  le: 'upper bound in seconds, see below',
  version: 'of Sluice',
  node: 'version of Node.js',
};

const INTRODUCTION = `
\`GET /metrics\` on the address of \`admin.listen\` ([configuration](configuration.md)) answers in
Prometheus’ text format 0.0.4. The supervisor reads the figures from shared memory and asks no worker, so
a stuck worker cannot make the page slow. The counts of a worker that has died are kept; what it had open
is not.

\`sluice_requests_total\` and \`sluice_errors_total\` list a series only once it has counted something;
all others are there from the start. Besides these metrics the page has \`process_*\` and \`nodejs_*\`,
which speak of the supervisor’s process.

Metrics of a program (\`metrics.counter\`, \`metrics.gauge\`, \`metrics.histogram\`) are on the same page, and as
exact: each process counts in a row of its own, and what a worker that died has counted is kept. A gauge is the
sum of what the living processes have set. A label has either values that are declared (\`['hit', 'miss']\`) or
a number of them (\`{ max: 100 }\`); values beyond that number, or longer than 116 bytes, are counted as
\`other\`. All metrics of a program together take at most 16,384 slots: one for each series, and for one of a
histogram as many as it has buckets and two more.
`;

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
}

export async function metricsPage(): Promise<string> {
  const metrics = metricsOn(await renderedPage());
  const rows = metrics.map(({ name, type, help, labels }) => [
    code(name),
    type,
    [...labels].map(([label, values]) => `${code(label)}: ${meaning(label, values)}`).join('<br>'),
    help,
  ]);
  const buckets = DURATION_BUCKETS.map(String).map(code).join(', ');
  return [
    generatedFrom('src/shared/metrics'),
    '# Metrics',
    INTRODUCTION,
    table(['Metric', 'Kind', 'Labels', 'Meaning'], rows),
    `Buckets of histograms, in seconds: ${buckets} and ${code('+Inf')}.`,
  ].join('\n\n');
}

function renderedPage(): Promise<string> {
  const layout = new MetricsLayout({ services: ['SERVICE'], upstreams: ['UPSTREAM'] });
  const size = metricsTableSize(2, layout.slots);
  const table = new MetricsTable(
    createSegment({ name: 'metrics', layout: 1, size }, undefined),
    layout.slots,
  );
  table.rowView(1).fill(1);
  return new MetricsPage(
    {
      layout,
      table,
      labels: undefined,
      workers: () => [{ slot: 0, row: 1, state: 'ready' }],
      restarts: () => 1,
      peers: () => [{ upstream: 'UPSTREAM', peer: 'PEER', healthy: true, inFlight: 0 }],
      discoveries: () => [{ upstream: 'UPSTREAM', peers: 1, ageSeconds: 1, isFailing: true }],
      limits: () => [{ name: 'LIMIT', evictions: 1, refusals: 1 }],
      shared: true,
      version: 'VERSION',
    },
    'fleet',
  ).text();
}

function metricsOn(page: string): Metric[] {
  return page
    .split('# HELP ')
    .filter((part) => part.startsWith('sluice_'))
    .map((part) => {
      const [helpLine = '', typeLine = '', ...samples] = part.split('\n');
      const [name = ''] = helpLine.split(' ', 1);
      const labels = new Map<string, Set<string>>();
      for (const [, label = '', value = ''] of samples.join('\n').matchAll(/(\w+)="([^"]*)"/g)) {
        labels.set(label, (labels.get(label) ?? new Set()).add(value));
      }
      return { name, help: helpLine.slice(name.length + 1), type: typeLine.split(' ')[3]!, labels };
    });
}

/** @throws {Error} nothing is known of a label but one value, which is no way to describe it */
function meaning(label: string, values: ReadonlySet<string>): string {
  const known = labelMeanings[label];
  if (known !== undefined) return known;
  if (values.size > 1) return [...values].map(code).join(', ');
  throw new Error(`tools/docs/metrics.ts does not say what the label "${label}" means`);
}

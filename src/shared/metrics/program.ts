/**
 * Metrics of the program: `metrics.counter`, `gauge` and `histogram`. They are
 * built while the program loads, in every process, and count in the process's
 * own row of shared memory: an addition each, exact over all workers.
 */
import type { Log } from '../log/log.ts';
import type { LabelTable } from '../memory/label-table.ts';
import { Family } from './family.ts';
import type { MetricsLayout } from './layout.ts';
import {
  CounterSeries,
  GaugeSeries,
  HistogramSeries,
  type Counter,
  type Gauge,
  type Histogram,
  type Series,
} from './series.ts';
import {
  MAX_SLOTS,
  namesOnPage,
  seriesOf,
  slotsPerSeries,
  specFrom,
  type HistogramOptions,
  type LabelDeclarations,
  type LabelValues,
  type MetricKind,
  type MetricOptions,
  type MetricSpec,
} from './spec.ts';

/** A metric with labels: one series for each combination of their values. */
export interface Labelled<Series, Labels extends LabelDeclarations> {
  /**
   * The series with those values; the same object each time, which may be kept.
   *
   * @throws {TypeError} a label is missing, or has a value that was not declared
   */
  with(values: LabelValues<Labels>): Series;
}

/** Makes metrics of the program; they are on the metrics page beside Sluice's own. */
export interface ProgramMetrics {
  /**
   * @throws {TypeError} the options are not as they should be
   * @throws {Error} the name is taken, or the server runs already
   */
  counter<const Labels extends LabelDeclarations>(
    options: MetricOptions & { readonly labels: Labels },
  ): Labelled<Counter, Labels>;
  counter(options: MetricOptions): Counter;
  /** Throws as `counter` does. */
  gauge<const Labels extends LabelDeclarations>(
    options: MetricOptions & { readonly labels: Labels },
  ): Labelled<Gauge, Labels>;
  gauge(options: MetricOptions): Gauge;
  /** Throws as `counter` does. */
  histogram<const Labels extends LabelDeclarations>(
    options: HistogramOptions & { readonly labels: Labels },
  ): Labelled<Histogram, Labels>;
  histogram(options: HistogramOptions): Histogram;
}

type AnyOptions = HistogramOptions & { readonly labels?: LabelDeclarations };

export const metrics = {
  counter: (options: AnyOptions) => make('counter', options, CounterSeries),
  gauge: (options: AnyOptions) => make('gauge', options, GaugeSeries),
  histogram: (options: AnyOptions) => make('histogram', options, HistogramSeries),
} as unknown as ProgramMetrics;

/** Of this process, by name. */
const families = new Map<string, Family<Series>>();
let isSealed = false;

export function programMetrics(): readonly MetricSpec[] {
  return [...families.values()].map(({ spec }) => spec);
}

/** Its name may be used again. */
export function forgetMetric({ name }: MetricSpec): void {
  families.delete(name);
}

export interface MetricsBinding {
  readonly layout: MetricsLayout;
  /** Of this process; nobody else may write to it. */
  readonly row: Float64Array;
  /** Absent if no metric has a label with values that are not known yet. */
  readonly labels: LabelTable | undefined;
  readonly log: Log;
}

/** From now on there can be no more. */
export function sealMetrics(): void {
  isSealed = true;
}

/**
 * Gives all metrics of this process their place in memory: what was counted before is moved, too.
 *
 * @throws {Error} the supervisor does not know a metric
 */
export function bindMetrics({ layout, row, labels, log }: MetricsBinding): void {
  for (const { spec } of families.values()) {
    const place = layout.program.find(({ spec: { name } }) => name === spec.name);
    if (place === undefined || JSON.stringify(place.spec) !== JSON.stringify(spec)) {
      throw new Error(
        `the supervisor does not have the metric "${spec.name}" as it is here: build metrics in every process, in the same way`,
      );
    }
    families.get(spec.name)!.move({ row, place, labels, log });
  }
}

function make(
  kind: MetricKind,
  options: AnyOptions,
  seriesClass: new (buckets: readonly number[]) => Series,
): unknown {
  const spec = specFrom(kind, options);
  if (isSealed)
    throw new Error(`metrics.${kind} "${spec.name}": build metrics before the server runs`);
  refuseTaken(spec);
  const family = new Family(spec, seriesClass);
  families.set(spec.name, family);
  return spec.labels.length === 0 ? family.with({}) : family;
}

function refuseTaken(spec: MetricSpec): void {
  const others = programMetrics();
  const names = namesOnPage(spec);
  const other = others.find((each) => namesOnPage(each).some((name) => names.includes(name)));
  if (other !== undefined) {
    throw new Error(
      `metrics.${spec.kind} "${spec.name}": the metric "${other.name}" exists already; each needs names of its own`,
    );
  }
  const slots = [...others, spec].reduce(
    (sum, each) => sum + seriesOf(each) * slotsPerSeries(each),
    0,
  );
  if (slots > MAX_SLOTS) {
    throw new Error(
      `metrics.${spec.kind} "${spec.name}": all metrics of the program together take ${slots} slots of at most ${MAX_SLOTS}; give labels fewer values`,
    );
  }
}

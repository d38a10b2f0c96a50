/**
 * A program's own metric: what it says about it, checked, and how many slots of
 * a metrics row it takes. Plain data, which supervisor and workers compare.
 *
 * A series takes one slot; of a histogram it takes one for each bucket, one for
 * what is above the last bucket, and one for the sum.
 */
import { refuseUnknown } from '../config/options.ts';
import { DURATION_BUCKETS } from './buckets.ts';

/** One label: its values, or how many there may be that are not known yet. */
export type LabelDeclaration = readonly string[] | { readonly max: number };
export type LabelDeclarations = Readonly<Record<string, LabelDeclaration>>;

export type LabelValues<Labels extends LabelDeclarations> = {
  readonly [Name in keyof Labels]: Labels[Name] extends readonly string[]
    ? Labels[Name][number]
    : string;
};

export interface MetricOptions {
  /** With the unit in it, such as `shop_order_bytes`; of a counter it ends in `_total`. */
  readonly name: string;
  /** One line for whoever reads the page. */
  readonly help: string;
}

export interface HistogramOptions extends MetricOptions {
  /** Upper bounds, ascending. Default: from 1 ms to 30 s, in seconds. */
  readonly buckets?: readonly number[];
}

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export type LabelSpec =
  | { readonly name: string; readonly values: readonly string[] }
  | { readonly name: string; readonly max: number };

export interface MetricSpec {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly labels: readonly LabelSpec[];
  /** Of a histogram; empty for the others. */
  readonly buckets: readonly number[];
}

/** What is counted under when a label's rows are taken. */
export const OTHER = 'other';

/** Each is memory in every worker's row and a line on the page, which somebody has to store. */
export const MAX_SLOTS = 16_384;
const MAX_LABELS = 8;
const MAX_VALUES = 1_000;
const MAX_BUCKETS = 64;

/** Of a series. */
export function slotsPerSeries({ kind, buckets }: MetricSpec): number {
  return kind === 'histogram' ? buckets.length + 2 : 1;
}

export function seriesOf({ labels }: MetricSpec): number {
  return labels.reduce((product, label) => product * sizeOf(label), 1);
}

/** Values that a label can have, `OTHER` included. */
export function sizeOf(label: LabelSpec): number {
  return 'values' in label ? label.values.length : label.max + 1;
}

const KNOWN = { name: true, help: true, labels: true, buckets: true } as const;

/** @throws {TypeError} what is wrong with it, and what is expected */
export function specFrom(
  kind: MetricKind,
  options: HistogramOptions & { readonly labels?: LabelDeclarations | undefined },
): MetricSpec {
  const { name, help, labels = {}, buckets } = options;
  const { buckets: _, ...withoutBuckets } = KNOWN;
  refuseUnknown<object>(`metrics.${kind}`, options, kind === 'histogram' ? KNOWN : withoutBuckets);
  checkName(kind, name);
  const fail = failWith(kind, name);
  if (typeof help !== 'string' || help.trim() === '')
    fail(`expected a help text for whoever reads the page, got ${JSON.stringify(help)}`);
  const spec: MetricSpec = {
    name,
    help,
    kind,
    labels: labelsFrom(labels, kind, fail),
    buckets: kind === 'histogram' ? checkedBuckets(buckets ?? DURATION_BUCKETS, fail) : [],
  };
  const slots = seriesOf(spec) * slotsPerSeries(spec);
  if (slots > MAX_SLOTS) {
    fail(
      `its labels make ${seriesOf(spec)} series, which take ${slots} slots of at most ${MAX_SLOTS}; give fewer values`,
    );
  }
  return spec;
}

/** The names that a metric's lines begin with on the page. */
export function namesOnPage({ kind, name }: MetricSpec): string[] {
  if (kind !== 'histogram') return [name];
  return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
}

type Fail = (message: string) => never;

function failWith(kind: MetricKind, name: string): Fail {
  return (message) => {
    throw new TypeError(`metrics.${kind} "${name}": ${message}`);
  };
}

/** https://prometheus.io/docs/concepts/data_model; colons are for recording rules. */
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Of Sluice's own, and of what prom-client says about the process. */
const RESERVED = /^(sluice|process|nodejs)_/;

function checkName(kind: MetricKind, name: string): void {
  const fail = failWith(kind, name);
  if (typeof name !== 'string' || !NAME.test(name))
    fail('expected a name of letters, digits and _, which does not begin with a digit');
  const [, prefix] = RESERVED.exec(name) ?? [];
  if (prefix !== undefined) fail(`names that begin with ${prefix}_ are taken; choose another`);
  if (kind === 'counter' && !name.endsWith('_total')) fail('expected a name that ends in _total');
  if (kind !== 'counter' && name.endsWith('_total')) fail('only counters end in _total');
}

function labelsFrom(given: LabelDeclarations, kind: MetricKind, fail: Fail): LabelSpec[] {
  const labels = Object.entries(given);
  if (labels.length > MAX_LABELS)
    fail(`expected at most ${MAX_LABELS} labels, got ${labels.length}`);
  return labels.map(([name, declared]) => {
    if (!NAME.test(name) || name.startsWith('__'))
      fail(`label "${name}": expected letters, digits and _, and no __ in front`);
    if (kind === 'histogram' && name === 'le')
      fail('label "le": that is what the buckets are told apart by');
    return 'max' in declared
      ? { name, max: checkedMax(name, declared.max, fail) }
      : { name, values: checkedValues(name, declared, fail) };
  });
}

function checkedMax(label: string, max: number, fail: Fail): number {
  if (!Number.isInteger(max) || max < 1 || max > MAX_VALUES)
    fail(`label "${label}": expected a max from 1 to ${MAX_VALUES}, got ${max}`);
  return max;
}

function checkedValues(label: string, values: readonly string[], fail: Fail): readonly string[] {
  if (values.length === 0) fail(`label "${label}": expected its values, or { max }; got none`);
  for (const [at, value] of values.entries()) {
    if (values.indexOf(value) !== at) fail(`label "${label}": the value "${value}" is there twice`);
  }
  return [...values];
}

function checkedBuckets(buckets: readonly number[], fail: Fail): readonly number[] {
  if (buckets.length === 0 || buckets.length > MAX_BUCKETS)
    fail(`expected 1 to ${MAX_BUCKETS} buckets, got ${buckets.length}`);
  for (const [at, bound] of buckets.entries()) {
    if (!Number.isFinite(bound) || (at > 0 && bound <= buckets[at - 1]!))
      fail(`expected buckets that ascend, got ${buckets.join(', ')}`);
  }
  return [...buckets];
}

/**
 * What a metric of the program says on the page, summed over all processes. With
 * known label values every series is there from the start; with others, those
 * that have counted something.
 */
import type { LabelTable } from '../memory/label-table.ts';
import type { ProgramPlace } from './layout.ts';
import type { FiguresTable } from './page.ts';
import type { Sample } from './sample.ts';
import { OTHER, seriesOf, slotsPerSeries } from './spec.ts';

export function programSamples(
  place: ProgramPlace,
  table: FiguresTable,
  labels: LabelTable | undefined,
): Sample[] {
  const { spec, start } = place;
  const values = valuesOf(place, labels);
  const isOpen = spec.labels.some((label) => 'max' in label);
  const slots = slotsPerSeries(spec);
  const samples: Sample[] = [];
  for (let number = 0; number < seriesOf(spec); number++) {
    const first = start + number * slots;
    const sums = Array.from({ length: slots }, (_, slot) => table.sum(first + slot));
    if (isOpen && sums.every((sum) => sum === 0)) continue;
    samples.push(...samplesOf(place, labelsOf(place, values, number), sums));
  }
  return samples;
}

/** By label, then by the value's number. */
type Values = readonly (readonly (string | undefined)[])[];

function valuesOf({ spec, labelStarts }: ProgramPlace, labels: LabelTable | undefined): Values {
  return spec.labels.map((label, at) => {
    if ('values' in label) return label.values;
    const seen = labels?.valuesIn({ start: labelStarts[at]!, rows: label.max });
    return [...(seen ?? []), OTHER];
  });
}

/** The last label's value changes fastest. */
function labelsOf({ spec }: ProgramPlace, values: Values, number: number): Record<string, string> {
  const labels: [string, string][] = [];
  let rest = number;
  for (let at = spec.labels.length - 1; at >= 0; at--) {
    const { length } = values[at]!;
    labels.unshift([spec.labels[at]!.name, values[at]![rest % length] ?? OTHER]);
    rest = Math.floor(rest / length);
  }
  return Object.fromEntries(labels);
}

function samplesOf(
  { spec }: ProgramPlace,
  labels: Record<string, string>,
  sums: readonly number[],
): Sample[] {
  if (spec.kind !== 'histogram') return [{ value: sums[0]!, labels }];
  let count = 0;
  const buckets = [...spec.buckets, '+Inf'].map((le, bucket) => {
    count += sums[bucket]!;
    return { value: count, labels: { ...labels, le }, metricName: `${spec.name}_bucket` };
  });
  return [
    ...buckets,
    { value: sums.at(-1)!, labels, metricName: `${spec.name}_sum` },
    { value: count, labels, metricName: `${spec.name}_count` },
  ];
}

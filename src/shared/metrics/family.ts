/** All series of one metric of the program, in this process. */
import type { Log } from '../log/log.ts';
import { LabelTable, labelTableSize } from '../memory/label-table.ts';
import { createSegment } from '../memory/segment.ts';
import { ClosedLabel, OpenLabel, type Label } from './labels.ts';
import type { ProgramPlace } from './layout.ts';
import type { Series } from './series.ts';
import {
  seriesOf,
  slotsPerSeries,
  type LabelDeclarations,
  type LabelValues,
  type MetricSpec,
} from './spec.ts';

/** Where a family counts. */
export interface Home {
  readonly row: Float64Array;
  readonly place: ProgramPlace;
  readonly labels: LabelTable | undefined;
  readonly log: Log | undefined;
}

export class Family<S extends Series> {
  readonly spec: MetricSpec;
  readonly #seriesClass: new (buckets: readonly number[]) => S;
  readonly #slotsPerSeries: number;
  #row: Float64Array;
  #start: number;
  #labels: readonly Label[];
  /** By number; and what was asked for to get them. */
  #series: S[] = [];
  #values: LabelValues<LabelDeclarations>[] = [];

  constructor(spec: MetricSpec, seriesClass: new (buckets: readonly number[]) => S) {
    this.spec = spec;
    this.#seriesClass = seriesClass;
    this.#slotsPerSeries = slotsPerSeries(spec);
    // Until the server runs, and for good in a test of the program's phases.
    this.#row = new Float64Array(seriesOf(spec) * this.#slotsPerSeries);
    this.#start = 0;
    this.#labels = labelsOf({ spec, start: 0, labelStarts: labelStarts(spec) }, undefined);
  }

  with(values: LabelValues<LabelDeclarations>): S {
    const number = this.#numberOf(values);
    return this.#series[number] ?? this.#make(number, values);
  }

  #numberOf(values: LabelValues<LabelDeclarations>): number {
    let number = 0;
    for (const label of this.#labels) number = number * label.size + label.indexOf(values);
    return number;
  }

  #make(number: number, values: LabelValues<LabelDeclarations>): S {
    const series = new this.#seriesClass(this.spec.buckets);
    series.move(this.#row, this.#slotOf(number));
    this.#series[number] = series;
    this.#values[number] = { ...values };
    return series;
  }

  #slotOf(number: number): number {
    return this.#start + number * this.#slotsPerSeries;
  }

  move({ row, place, labels, log }: Home): void {
    const before = { row: this.#row, series: this.#series, values: this.#values };
    this.#row = row;
    this.#start = place.start;
    this.#labels = labelsOf(place, labels, log);
    this.#series = [];
    this.#values = [];
    before.series.forEach((series, from) => {
      const to = this.#numberOf(before.values[from]!);
      for (let slot = 0; slot < this.#slotsPerSeries; slot++) {
        row[this.#slotOf(to) + slot]! += before.row[from * this.#slotsPerSeries + slot]!;
      }
      series.move(row, this.#slotOf(to));
      this.#series[to] = series;
      this.#values[to] = before.values[from]!;
    });
  }
}

/** As if the metric were alone. */
function labelStarts({ labels }: MetricSpec): number[] {
  let next = 0;
  return labels.map((label) => {
    const start = next;
    next += 'max' in label ? label.max : 0;
    return start;
  });
}

function labelsOf(
  { spec, labelStarts: starts }: ProgramPlace,
  table: LabelTable | undefined,
  log?: Log,
): readonly Label[] {
  return spec.labels.map((label, at) =>
    'max' in label
      ? new OpenLabel(spec.name, label, starts[at]!, table ?? tableFor(spec), log)
      : new ClosedLabel(spec.name, label.name, label.values),
  );
}

/** For this process alone. */
function tableFor({ labels }: MetricSpec): LabelTable {
  const rows = labels.reduce((sum, label) => sum + ('max' in label ? label.max : 0), 0);
  return new LabelTable(
    createSegment({ name: 'labels', layout: 1, size: labelTableSize(rows) }, undefined),
  );
}

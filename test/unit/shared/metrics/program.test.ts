import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Log } from '../../../../src/shared/log/log.ts';
import { LabelTable, labelTableSize } from '../../../../src/shared/memory/label-table.ts';
import { MetricsTable, metricsTableSize } from '../../../../src/shared/memory/metrics-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { Family } from '../../../../src/shared/metrics/family.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';
import { programSamples } from '../../../../src/shared/metrics/program-samples.ts';
import { metrics, programMetrics } from '../../../../src/shared/metrics/program.ts';
import {
  CounterSeries,
  GaugeSeries,
  HistogramSeries,
} from '../../../../src/shared/metrics/series.ts';
import { specFrom, type MetricSpec } from '../../../../src/shared/metrics/spec.ts';

const help = 'For the test.';

/** The memory that some processes share which all have that metric. */
function newMemory(spec: MetricSpec, rows = 3) {
  const layout = new MetricsLayout({ services: ['edge'], upstreams: [], program: [spec] });
  const size = metricsTableSize(rows, layout.slots);
  const table = new MetricsTable(
    createSegment({ name: 'metrics', layout: 1, size }, undefined),
    layout.slots,
  );
  const labels = new LabelTable(
    createSegment({ name: 'labels', layout: 1, size: labelTableSize(layout.labelRows) }, undefined),
  );
  const warnings: object[] = [];
  const log = { warn: (fields: object) => warnings.push(fields) } as unknown as Log;
  const place = layout.program[0]!;
  return {
    table,
    layout,
    warnings,
    home: (row: number) => ({ row: table.rowView(row), place, labels, log }),
    page: () =>
      Object.fromEntries(
        programSamples(place, table, labels).map(({ value, labels: shown, metricName = '' }) => [
          `${metricName}${JSON.stringify(shown)}`,
          value,
        ]),
      ),
  };
}

describe('a metric of a program', () => {
  test('is the sum over all processes, also of one that has ended', () => {
    const labels = { kind: ['new', 'again'] };
    const spec = specFrom('counter', { name: 'a_total', help, labels });
    const memory = newMemory(spec);
    const [one, other] = [new Family(spec, CounterSeries), new Family(spec, CounterSeries)];
    one.move(memory.home(1));
    other.move(memory.home(2));

    one.with({ kind: 'new' }).add();
    other.with({ kind: 'new' }).add(10);
    other.with({ kind: 'again' }).add(0.5);
    memory.table.fold(2, memory.layout.passingSlots);

    assert.deepEqual(memory.page(), { '{"kind":"new"}': 11, '{"kind":"again"}': 0.5 });
  });

  test('of which a process has set a value forgets it with the process', () => {
    const spec = specFrom('gauge', { name: 'a', help });
    const memory = newMemory(spec);
    const [one, other] = [new Family(spec, GaugeSeries), new Family(spec, GaugeSeries)];
    one.move(memory.home(1));
    other.move(memory.home(2));
    one.with({}).set(5);
    other.with({}).set(3);
    other.with({}).add(-1);
    assert.deepEqual(memory.page(), { '{}': 7 });

    memory.table.fold(1, memory.layout.passingSlots);
    assert.deepEqual(memory.page(), { '{}': 2 });
  });

  test('keeps what was counted before it had its place in memory', () => {
    const labels = { tenant: { max: 4 } };
    const spec = specFrom('counter', { name: 'a_total', help, labels });
    const memory = newMemory(spec);
    const other = new Family(spec, CounterSeries);
    other.move(memory.home(2));
    other.with({ tenant: 'south' }).add();
    const early = new Family(spec, CounterSeries);
    const north = early.with({ tenant: 'north' });
    north.add(2);
    early.with({ tenant: 'south' }).add(3);

    early.move(memory.home(1));
    north.add(1);

    assert.deepEqual(memory.page(), { '{"tenant":"south"}': 4, '{"tenant":"north"}': 3 });
    assert.equal(early.with({ tenant: 'north' }), north);
  });

  test('counts one value too many of a label under "other", and warns once', () => {
    const labels = { tenant: { max: 2 }, kind: ['a', 'b'] };
    const spec = specFrom('counter', { name: 'a_total', help, labels });
    const memory = newMemory(spec);
    const family = new Family(spec, CounterSeries);
    family.move(memory.home(1));
    for (const tenant of ['north', 'south', 'east', 'west', 'other', 'x'.repeat(500), 'north'])
      family.with({ tenant, kind: 'b' }).add();

    assert.deepEqual(memory.page(), {
      '{"tenant":"north","kind":"b"}': 2,
      '{"tenant":"south","kind":"b"}': 1,
      '{"tenant":"other","kind":"b"}': 4,
    });
    assert.deepEqual(memory.warnings, [{ metric: 'a_total', label: 'tenant', max: 2 }]);
  });

  test('puts a value into the first bucket that is not below it', () => {
    const spec = specFrom('histogram', { name: 'a', help, buckets: [1, 10] });
    const memory = newMemory(spec);
    const family = new Family(spec, HistogramSeries);
    family.move(memory.home(1));
    for (const value of [0, 1, 1.5, 10, 11]) family.with({}).observe(value);

    assert.deepEqual(memory.page(), {
      'a_bucket{"le":1}': 2,
      'a_bucket{"le":10}': 4,
      'a_bucket{"le":"+Inf"}': 5,
      'a_sum{}': 23.5,
      'a_count{}': 5,
    });
  });

  test('refuses what would spoil its totals', () => {
    const counter = new Family(specFrom('counter', { name: 'a_total', help }), CounterSeries);
    const histogram = new Family(specFrom('histogram', { name: 'a', help }), HistogramSeries);
    for (const amount of [-1, NaN, Infinity])
      assert.throws(() => counter.with({}).add(amount), /RangeError.*at least 0, got/);
    assert.throws(() => histogram.with({}).observe(NaN), /RangeError.*finite number, got NaN/);
  });

  test('says which values a label has', () => {
    const labels = { kind: ['new', 'again'], tenant: { max: 1 } };
    const spec = specFrom('counter', { name: 'a_total', help, labels });
    const family = new Family(spec, CounterSeries);
    assert.throws(
      () => family.with({ kind: 'old', tenant: '' }),
      /metric "a_total": label "kind": expected one of "new", "again", got "old"/,
    );
    assert.throws(
      () => family.with({ kind: 'new' }),
      /metric "a_total": label "tenant": expected text, got undefined/,
    );
  });
});

describe('the metrics of a program', () => {
  test('have names of their own, those of a histogram’s lines included', () => {
    const size = metrics.histogram({ name: 'shop_size', help, labels: { kind: ['a', 'b'] } });
    size.with({ kind: 'a' }).observe(1);
    // @ts-expect-error a value that was not declared
    assert.throws(() => size.with({ kind: 'c' }), /expected one of "a", "b", got "c"/);

    for (const name of ['shop_size', 'shop_size_count'])
      assert.throws(() => metrics.gauge({ name, help }), /"shop_size" exists already/);
    assert.deepEqual(
      programMetrics().map(({ name }) => name),
      ['shop_size'],
    );
  });
});

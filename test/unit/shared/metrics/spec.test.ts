import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  namesOnPage,
  seriesOf,
  slotsPerSeries,
  specFrom,
  type MetricKind,
} from '../../../../src/shared/metrics/spec.ts';

const help = 'For the test.';

type Options = Parameters<typeof specFrom>[1];

const refused: { kind: MetricKind; options: object; says: RegExp }[] = [
  { kind: 'counter', options: { name: 'a b_total' }, says: /letters, digits and _/ },
  { kind: 'counter', options: { name: '9_total' }, says: /does not begin with a digit/ },
  { kind: 'counter', options: { name: 'job:a_total' }, says: /letters, digits and _/ },
  { kind: 'counter', options: { name: 'sluice_a_total' }, says: /begin with sluice_ are taken/ },
  { kind: 'gauge', options: { name: 'process_a' }, says: /begin with process_ are taken/ },
  { kind: 'counter', options: { name: 'orders' }, says: /ends in _total/ },
  { kind: 'gauge', options: { name: 'orders_total' }, says: /only counters end in _total/ },
  { kind: 'gauge', options: { name: 'a', help: ' ' }, says: /expected a help text/ },
  { kind: 'gauge', options: { name: 'a', lables: {} }, says: /"lables"; did you mean "labels"/ },
  { kind: 'counter', options: { name: 'a_total', buckets: [1] }, says: /unknown option "buckets"/ },
  { kind: 'gauge', options: { name: 'a', labels: { 'b-c': ['d'] } }, says: /label "b-c"/ },
  { kind: 'gauge', options: { name: 'a', labels: { __b: ['d'] } }, says: /label "__b"/ },
  { kind: 'gauge', options: { name: 'a', labels: { b: [] } }, says: /expected its values/ },
  { kind: 'gauge', options: { name: 'a', labels: { b: ['c', 'c'] } }, says: /"c" is there twice/ },
  { kind: 'gauge', options: { name: 'a', labels: { b: { max: 0 } } }, says: /max from 1 to 1000/ },
  { kind: 'histogram', options: { name: 'a', labels: { le: ['b'] } }, says: /label "le"/ },
  { kind: 'histogram', options: { name: 'a', buckets: [] }, says: /1 to 64 buckets/ },
  { kind: 'histogram', options: { name: 'a', buckets: [1, 1] }, says: /buckets that ascend/ },
  { kind: 'histogram', options: { name: 'a', buckets: [1, NaN] }, says: /buckets that ascend/ },
  {
    kind: 'gauge',
    options: { name: 'a', labels: { b: { max: 200 }, c: { max: 200 } } },
    says: /40401 series, which take 40401 slots of at most 16384/,
  },
];

describe('what a program says about a metric', () => {
  for (const { kind, options, says } of refused) {
    test(`is refused: ${kind} ${JSON.stringify(options)}`, () => {
      assert.throws(() => specFrom(kind, { help, ...options } as Options), {
        name: 'TypeError',
        message: says,
      });
    });
  }

  test('decides how many slots it takes', () => {
    const labels = { kind: ['a', 'b'], tenant: { max: 3 } };
    const counter = specFrom('counter', { name: 'a_total', help, labels });
    const histogram = specFrom('histogram', { name: 'b', help, buckets: [1, 2, 3] });

    assert.equal(seriesOf(counter), 2 * (3 + 1));
    assert.equal(slotsPerSeries(counter), 1);
    assert.equal(seriesOf(histogram), 1);
    assert.equal(slotsPerSeries(histogram), 3 + 1 + 1);
    assert.deepEqual(namesOnPage(histogram), ['b', 'b_bucket', 'b_sum', 'b_count']);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LabelTable, labelTableSize } from '../../../../src/shared/memory/label-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const ROWS = 8;
const FIRST = { start: 0, rows: 3 };
const SECOND = { start: 3, rows: 5 };

function newSegment() {
  return createSegment({ name: 'labels', layout: 1, size: labelTableSize(ROWS) }, undefined);
}

describe('a label table', () => {
  test('gives a value the same row whoever asks, and ranges rows of their own', () => {
    const segment = newSegment();
    const [one, other] = [new LabelTable(segment), new LabelTable(segment)];

    assert.equal(one.claim(FIRST, 'red'), 0);
    assert.equal(other.claim(FIRST, 'green'), 1);
    assert.equal(other.claim(FIRST, 'red'), 0);
    assert.equal(one.claim(FIRST, 'green'), 1);
    assert.equal(one.claim(SECOND, 'green'), 0);
    assert.deepEqual(one.valuesIn(FIRST), ['red', 'green', undefined]);
    assert.deepEqual(one.valuesIn(SECOND).slice(0, 2), ['green', undefined]);
  });

  test('has no row for one value too many, and keeps those it has', () => {
    const table = new LabelTable(newSegment());
    for (const value of ['a', 'b', 'c']) table.claim(FIRST, value);

    assert.equal(table.claim(FIRST, 'd'), undefined);
    assert.equal(table.claim(FIRST, 'c'), 2);
    assert.equal(table.claim(SECOND, 'd'), 0);
  });

  for (const [name, value] of [
    ['empty', ''],
    ['not of this alphabet', 'größe → 大きさ'],
    ['as long as fits', 'x'.repeat(116)],
  ] as const) {
    test(`keeps a value that is ${name}`, () => {
      const table = new LabelTable(newSegment());
      assert.equal(table.claim(FIRST, value), 0);
      assert.equal(table.claim(FIRST, value), 0);
      assert.equal(table.valuesIn(FIRST)[0], value);
    });
  }

  test('has no row for a value that is too long', () => {
    const table = new LabelTable(newSegment());
    assert.equal(table.claim(FIRST, 'x'.repeat(117)), undefined);
    assert.deepEqual(table.valuesIn(FIRST), [undefined, undefined, undefined]);
  });

  test('a process that died between claiming and writing costs nobody a row', () => {
    const segment = newSegment();
    const table = new LabelTable(segment);
    table.claim(FIRST, 'red');
    // What the row looks like when its writer is killed before the last store.
    new Int32Array(segment.buffer, segment.offset)[2] = 0;

    assert.deepEqual(table.valuesIn(FIRST)[0], undefined);
    assert.equal(table.claim(FIRST, 'green'), 1);
    assert.equal(table.claim(FIRST, 'red'), 0);
    assert.deepEqual(table.valuesIn(FIRST), ['red', 'green', undefined]);
  });
});

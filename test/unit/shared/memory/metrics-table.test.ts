import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MetricsTable, metricsTableSize } from '../../../../src/shared/memory/metrics-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const ROWS = 4;
const SLOTS = 3;

function newTable(): MetricsTable {
  const size = metricsTableSize(ROWS, SLOTS);
  return new MetricsTable(createSegment({ name: 'metrics', layout: 1, size }, undefined), SLOTS);
}

describe('a metrics table', () => {
  test('sums a slot over all rows', () => {
    const table = newTable();
    for (let row = 0; row < ROWS; row++) table.rowView(row)[1] = 10 ** row;

    assert.deepEqual(
      [0, 1, 2].map((slot) => table.sum(slot)),
      [0, 1_111, 0],
    );
  });

  test('shows a row to everybody who looks at it', () => {
    const table = newTable();
    const view = table.rowView(2);
    table.rowView(2)[0] = 5;

    assert.equal(view[0], 5);
    assert.equal(view.length, SLOTS);
  });

  test('keeps the totals of a process that has ended, and frees its row', () => {
    const table = newTable();
    table.rowView(0).set([100, 0, 0]);
    table.rowView(1).set([7, 3, 2]);
    table.rowView(2).set([1, 1, 1]);

    table.fold(1, new Set([2]));

    assert.deepEqual([...table.rowView(0)], [107, 3, 0]);
    assert.deepEqual([...table.rowView(1)], [0, 0, 0]);
    assert.deepEqual(
      [0, 1, 2].map((slot) => table.sum(slot)),
      [108, 4, 1],
    );
  });

  test('folding a row twice adds it once', () => {
    const table = newTable();
    table.rowView(1).set([7, 3, 2]);
    table.fold(1, new Set());
    table.fold(1, new Set());

    assert.deepEqual([...table.rowView(0)], [7, 3, 2]);
  });

  test('gives each row to one process, and again once it is let go', () => {
    const table = newTable();
    assert.deepEqual(
      [table.claim(7), table.claim(8), table.claim(7), table.claim(7)],
      [1, 2, 3, undefined],
    );
    table.assign(2, 80);
    assert.deepEqual(table.ownerOf(2), { supervisorPid: 8, pid: 80 });

    table.rowView(2).set([1, 1, 1]);
    table.release(2);

    assert.equal(table.ownerOf(2), undefined);
    assert.deepEqual([...table.rowView(2)], [0, 0, 0]);
    assert.equal(table.claim(9), 2);
  });

  for (const row of [-1, ROWS]) {
    test(`has no row ${row}`, () => {
      assert.throws(() => newTable().rowView(row), /^RangeError: metrics row/);
    });
  }
});

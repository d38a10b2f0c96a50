import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { LimitRows, owedIn, stateOf } from '../../../../src/shared/memory/limit-rows.ts';
import { limitTableSize } from '../../../../src/shared/memory/limit-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const NOW = 5_000_000;

describe('a row that its owner sealed and did not live to unseal', () => {
  test('is passed over while the owner may still write to it', (t) => {
    const { segment } = killedWhileReplacing(t);
    const rows = new LimitRows(segment, () => true);

    const row = rows.claim(tagOf(100), NOW, () => undefined);

    assert.notEqual(row, undefined);
    assert.equal([...rows.owing(NOW)].length, 6);
  });

  test('goes to the next key once the owner is dead, and nobody else loses one', (t) => {
    const { segment } = killedWhileReplacing(t);
    const rows = new LimitRows(segment, (pid) => pid !== process.pid);
    let evicted = 0;

    const row = rows.claim(tagOf(100), NOW, () => (evicted += 1));

    assert.notEqual(row, undefined);
    assert.equal([...rows.owing(NOW)].length, 7);
    assert.equal(evicted, 0);
  });
});

describe('rows', () => {
  test('of a table of any size are all used, and none beyond', () => {
    for (const keys of [1, 5, 11, 100, 1_024, 1_000]) {
      const size = limitTableSize(keys);
      const segment = createSegment({ name: 'limit', layout: 2, size }, undefined);
      const rows = new LimitRows(segment);
      for (const second of [0, 1, 2 ** 30, -1, -2, -(2 ** 31), 2 ** 31 - 1]) {
        const row = rows.claim({ first: 7, second }, NOW, () => undefined);
        assert.ok(row !== undefined && row >= 0 && row < size / 4, `${keys} keys: row ${row}`);
        assert.equal(rows.find({ first: 7, second }), row);
      }
    }
  });

  test('keep what a key owes, across the turns of the counter', () => {
    for (const ticks of [0, 1, 2 ** 30 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 45]) {
      const state = stateOf(1_000, ticks);
      assert.deepEqual(
        [0, 400, 999, 1_000, 5_000].map((later) => owedIn(state, ticks + later)),
        [1_000, 600, 1, 0, 0],
      );
    }
  });
});

/** One bucket of eight keys; the process that was giving the ninth a row is gone. */
function killedWhileReplacing(t: TestContext) {
  const segment = createSegment({ name: 'limit', layout: 2, size: limitTableSize(1) }, undefined);
  const rows = new LimitRows(segment);
  for (let nth = 0; nth < 8; nth++) {
    const row = rows.claim(tagOf(nth), NOW, () => undefined)!;
    const before = { tat: 0, epoch: 0 };
    rows.read(row, tagOf(nth), before);
    rows.write(row, tagOf(nth), before, stateOf(1_000 + nth, NOW));
  }
  const store = t.mock.method(Atomics, 'store', () => {
    throw new Error('killed');
  });
  assert.throws(() => rows.claim(tagOf(99), NOW, () => undefined), /killed/);
  store.mock.restore();
  assert.equal([...rows.owing(NOW)].length, 7);
  return { segment };
}

function tagOf(nth: number) {
  return { first: nth + 10, second: 12_345 + nth };
}

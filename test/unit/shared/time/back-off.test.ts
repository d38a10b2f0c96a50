import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { afterDeath } from '../../../../src/shared/time/back-off.ts';

describe('a dead worker', () => {
  const cases = [
    { before: 0, livedMs: 10, youngDeaths: 1, waitMs: 0 },
    { before: 1, livedMs: 10, youngDeaths: 2, waitMs: 100 },
    { before: 2, livedMs: 10, youngDeaths: 3, waitMs: 200 },
    { before: 7, livedMs: 10, youngDeaths: 8, waitMs: 6_400 },
    { before: 8, livedMs: 10, youngDeaths: 9, waitMs: 10_000 },
    { before: 5_000, livedMs: 10, youngDeaths: 5_001, waitMs: 10_000 },
    { before: 0, livedMs: 4_999, youngDeaths: 1, waitMs: 0 },
    { before: 8, livedMs: 5_000, youngDeaths: 0, waitMs: 0 },
  ];
  for (const { before, livedMs, ...record } of cases) {
    test(`after ${livedMs} ms and ${before} young deaths is replaced in ${record.waitMs} ms`, () => {
      assert.deepEqual(afterDeath(before, livedMs), record);
    });
  }

  test('that cannot run is started a bounded number of times an hour', () => {
    let youngDeaths = 0;
    let elapsedMs = 0;
    let starts = 0;
    while (elapsedMs < 3_600_000) {
      const record = afterDeath(youngDeaths, 50);
      elapsedMs += 50 + record.waitMs;
      youngDeaths = record.youngDeaths;
      starts += 1;
    }
    assert.ok(starts < 370, `${starts} starts`);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pace } from '../../../../src/worker/downstream/pace.ts';

const IDLE_MS = 30_000;
const GRACE_MS = 5_000;

describe('the pace of a body', () => {
  test('allows the idle time between two moves, if there is no rate', () => {
    const pace = new Pace(IDLE_MS, 0);
    assert.equal(pace.wait(1_000, 0), 1_000 + IDLE_MS);
    assert.equal(pace.wait(20_000, 1), 20_000 + IDLE_MS);
    assert.equal(pace.isTooSlow(1e9, 1), false);
  });

  test('asks for a rate after a grace, however often a byte moves', () => {
    const pace = new Pace(IDLE_MS, 100);
    assert.equal(pace.wait(0, 0), GRACE_MS);
    assert.equal(pace.wait(4_000, 10), GRACE_MS + 100);
    assert.equal(pace.isTooSlow(5_099, 10), false);
    assert.equal(pace.isTooSlow(5_100, 10), true);
  });

  test('lets a fast client pause later on for what it has gained, but not beyond the idle time', () => {
    const pace = new Pace(IDLE_MS, 100);
    pace.wait(0, 0);
    assert.equal(pace.wait(1_000, 2_000), GRACE_MS + 20_000);
    assert.equal(pace.wait(1_000, 1e9), 1_000 + IDLE_MS);
  });

  test('does not count the time that the proxy takes', () => {
    const pace = new Pace(IDLE_MS, 100);
    pace.wait(0, 0);
    pace.stop(1_000);
    assert.equal(pace.wait(100_000, 0), 100_000 + GRACE_MS - 1_000);
    assert.equal(pace.isTooSlow(103_999, 0), false);
    assert.equal(pace.isTooSlow(104_000, 0), true);
  });

  test('begins anew with each body', () => {
    const pace = new Pace(IDLE_MS, 100);
    pace.wait(0, 0);
    pace.stop(4_000);
    pace.reset();
    assert.equal(pace.wait(10_000, 0), 10_000 + GRACE_MS);
  });
});

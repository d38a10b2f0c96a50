import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { monotonicNs } from '../../../../src/shared/time/clock.ts';
import { Deadlines, type Expiring } from '../../../../src/shared/time/deadlines.ts';

const SWEEP_MS = 100;

class Item implements Expiring {
  deadlineAt: number;
  calls = 0;

  constructor(deadlineAt: number) {
    this.deadlineAt = deadlineAt;
  }

  onDeadline(): void {
    this.calls += 1;
  }
}

describe('deadlines', () => {
  test('call those whose time has come, once', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const deadlines = new Deadlines();
    const late = new Item(deadlines.now - 1);
    const patient = new Item(Number.POSITIVE_INFINITY);
    deadlines.add(late);
    deadlines.add(patient);

    t.mock.timers.tick(SWEEP_MS * 3);

    assert.equal(late.calls, 1);
    assert.equal(late.deadlineAt, Number.POSITIVE_INFINITY);
    assert.equal(patient.calls, 0);
  });

  test('can be set anew from the call itself', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const deadlines = new Deadlines();
    const item = new Item(0);
    item.onDeadline = () => {
      item.calls += 1;
      if (item.calls < 3) item.deadlineAt = 0;
    };
    deadlines.add(item);

    t.mock.timers.tick(SWEEP_MS * 10);

    assert.equal(item.calls, 3);
  });

  test('forget what was removed, even in the middle of a sweep', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const deadlines = new Deadlines();
    const second = new Item(0);
    const first = new Item(0);
    first.onDeadline = () => deadlines.remove(second);
    deadlines.add(first);
    deadlines.add(second);

    t.mock.timers.tick(SWEEP_MS);

    assert.equal(second.calls, 0);
  });

  test('run no timer while there is nothing to look at', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const starts = t.mock.method(globalThis, 'setInterval');
    const stops = t.mock.method(globalThis, 'clearInterval');
    const deadlines = new Deadlines();
    const item = new Item(Number.POSITIVE_INFINITY);
    assert.equal(starts.mock.callCount(), 0);

    deadlines.add(item);
    deadlines.remove(item);
    deadlines.remove(item);
    deadlines.add(item);

    assert.equal(starts.mock.callCount(), 2);
    assert.equal(stops.mock.callCount(), 1);
    deadlines.remove(item);
  });
});

test('the clock counts whole nanoseconds and never goes back', () => {
  let before = monotonicNs();
  for (let nth = 0; nth < 1_000; nth++) {
    const now = monotonicNs();
    assert.ok(Number.isInteger(now) && now >= before, `${before} then ${now}`);
    before = now;
  }
});

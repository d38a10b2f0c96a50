import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import type { LimitPolicy } from '../../../../src/shared/memory/gcra.ts';
import {
  limitCounts,
  limitTableSize,
  LimitTable,
} from '../../../../src/shared/memory/limit-table.ts';
import { createSegment, type Segment } from '../../../../src/shared/memory/segment.ts';

const SECOND = 1e9;
const START = 5_000 * SECOND;

/** Rates as operators write them, the awkward ones included: their interval is no whole number of anything. */
const rates = [
  { name: '10/s', count: 10, perMs: 1_000 },
  { name: '3/s', count: 3, perMs: 1_000 },
  { name: '7/m', count: 7, perMs: 60_000 },
  { name: '600/m', count: 600, perMs: 60_000 },
  { name: '100/h', count: 100, perMs: 3_600_000 },
  { name: '1/h', count: 1, perMs: 3_600_000 },
  { name: '5000/d', count: 5_000, perMs: 86_400_000 },
  { name: '1/d', count: 1, perMs: 86_400_000 },
  { name: '99,991/s', count: 99_991, perMs: 1_000 },
  { name: '2,000,000/s', count: 2_000_000, perMs: 1_000 },
] as const;

describe('a limit table', () => {
  for (const { name, ...rate } of rates) {
    for (const burst of [1, 2, 20, 1_000]) {
      test(`admits a burst of ${burst} exactly at ${name}`, () => {
        const table = tableFor({ ...rate, burst });

        assert.equal(admittedAt(table, START, burst + 5), burst);
      });
    }

    test(`never refuses a client at exactly ${name}`, () => {
      const table = tableFor({ ...rate, burst: 1 });
      let clients = 0;
      fc.assert(
        fc.property(fc.nat(100 * 86_400), (startSeconds) => {
          // Never the same one twice: it would be early the second time.
          clients += 1;
          const client = `client ${clients}`;
          for (let nth = 0; nth < 200; nth++) {
            // Whole nanoseconds, as a clock gives them: so a request may be early by less than one.
            const now = Math.floor(startSeconds * SECOND + (nth * rate.perMs * 1e6) / rate.count);
            assert.ok(table.take(client, now), `request ${nth}`);
          }
        }),
        { numRuns: 50 },
      );
    });
  }

  test('admits the largest burst exactly', () => {
    const table = tableFor({ count: 1, perMs: 3_600_000, burst: 1_000_000 });

    assert.equal(admittedAt(table, START, 1_000_005), 1_000_000);
  });

  test('earns back one request per interval, and no more than the burst', () => {
    const table = tableFor({ count: 10, perMs: 1_000, burst: 20 });
    admittedAt(table, START, 20);

    assert.equal(admittedAt(table, START + 0.099 * SECOND, 5), 0);
    assert.equal(admittedAt(table, START + 0.1 * SECOND, 5), 1);
    assert.equal(admittedAt(table, START + 0.5 * SECOND, 10), 4);
    assert.equal(admittedAt(table, START + 60 * SECOND, 50), 20);
  });

  test('tells how many are left, and how long to wait for the next', () => {
    const table = tableFor({ count: 10, perMs: 1_000, burst: 3 });
    const seen = Array.from({ length: 4 }, () => {
      const allowed = table.take('k', START);
      return { allowed, remaining: table.remaining };
    });

    assert.deepEqual(seen, [
      { allowed: true, remaining: 2 },
      { allowed: true, remaining: 1 },
      { allowed: true, remaining: 0 },
      { allowed: false, remaining: 0 },
    ]);
    assert.ok(table.waitMs > 99.9 && table.waitMs <= 100, `${table.waitMs}`);
    assert.ok(table.take('k', START + table.waitMs * 1e6), 'after the wait it said');
  });

  test('charges what a request costs, all or nothing', () => {
    const table = tableFor({ count: 10, perMs: 1_000, burst: 10 });

    assert.ok(table.take('k', START, 7));
    assert.ok(!table.take('k', START, 4));
    assert.ok(table.take('k', START, 3));
    assert.ok(!table.take('other', START, 11), 'more than the burst never fits');
  });

  test('keeps the keys apart', () => {
    const table = tableFor({ count: 1, perMs: 1_000, burst: 2 });
    for (let key = 0; key < 1_000; key++) {
      assert.equal(admittedAt(table, START, 3, `key ${key}`), 2, `key ${key}`);
    }
  });

  const idles = [2 ** 29, 2 ** 30, 2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40].flatMap((ticks) =>
    [-1, 0, 1].map((more) => (ticks + more) * 1_000),
  );
  for (const idleNs of idles) {
    test(`gives the whole burst again, and once, after ${idleNs / 1_000} idle ticks`, () => {
      const table = tableFor({ count: 10, perMs: 1_000, burst: 20 });
      admittedAt(table, START, 25);

      assert.equal(admittedAt(table, START + idleNs, 25), 20);
      assert.equal(admittedAt(table, START + idleNs, 25), 0);
    });
  }

  test('agrees with a plain GCRA, whatever the arrivals', () => {
    const arrival = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      cost: fc.integer({ min: 1, max: 3 }),
      afterUs: fc.oneof(
        fc.constant(0),
        fc.nat(2_000_000),
        fc.nat(60_000_000),
        fc.nat(2 ** 32 * 3), // ticks turn over
      ),
    });
    const count = fc.constantFrom(1, 2, 10, 100, 1_000, 100_000);
    const burst = fc.integer({ min: 1, max: 500 });
    fc.assert(
      fc.property(count, burst, fc.array(arrival, { maxLength: 60 }), (count, burst, arrivals) => {
        const policy = { count, perMs: 1_000, burst };
        const table = tableFor(policy);
        const model = new PlainGcra(policy);
        let now = START;
        for (const [nth, { key, cost, afterUs }] of arrivals.entries()) {
          now += afterUs * 1_000;
          const got = table.take(key, now, cost);
          assert.equal(got, model.take(key, now, cost), `arrival ${nth}`);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('never admits more than the burst and what the time has earned', () => {
    const gaps = fc.array(fc.nat(3 * SECOND), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(
        fc.constantFrom(...rates.slice(0, 4)),
        fc.integer({ min: 1, max: 30 }),
        gaps,
        (rate, burst, gaps) => {
          const table = tableFor({ ...rate, burst });
          const intervalNs = (rate.perMs * 1e6) / rate.count;
          let now = START;
          let admitted = 0;
          for (const gap of gaps) {
            now += gap;
            admitted += admittedAt(table, now, 5);
            assert.ok(
              admitted <= burst + (now - START + 1_000) / intervalNs,
              `${admitted} admitted`,
            );
          }
        },
      ),
    );
  });

  test('gives back what was taken in vain, and never admits more for it', () => {
    const step = fc.record({
      afterNs: fc.nat(2 * SECOND),
      cost: fc.integer({ min: 1, max: 4 }),
      isInVain: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const rate = { count: 3, perMs: 1_000 };
        const table = tableFor({ ...rate, burst: 6 });
        let now = START;
        let admitted = 0;
        const open: { cost: number; takenNs: number }[] = [];
        for (const { afterNs, cost, isInVain } of steps) {
          now += afterNs;
          const owner = open.pop();
          if (owner !== undefined) table.giveBack('k', owner.cost, owner.takenNs, () => now);
          if (!table.take('k', now, cost)) continue;
          if (isInVain) open.push({ cost, takenNs: now });
          else admitted += cost;
          const earned = ((now - START + 1_000) * rate.count) / SECOND;
          assert.ok(admitted <= 6 + earned, `${admitted} admitted`);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('gives everything back at once', () => {
    const table = tableFor({ count: 1, perMs: 1_000, burst: 5 });
    table.take('k', START, 2);
    table.take('k', START, 3);
    table.giveBack('k', 3, START, () => START);

    assert.equal(admittedAt(table, START, 9), 3);
  });

  test('is not shaken by a clock that another process read a little later', () => {
    const table = tableFor({ count: 10, perMs: 1_000, burst: 20 });
    const epochEnd = 2 ** 30 * 1_000 * 5;
    admittedAt(table, epochEnd + 1, 10);

    assert.equal(admittedAt(table, epochEnd - 1_000, 25), 10);
    assert.equal(admittedAt(table, epochEnd + 1, 25), 0);
  });
});

describe('a limit table that is full', () => {
  test('gives up the key that owes least, and counts it', () => {
    const { table, segment } = fullBucket();

    table.take('newcomer', START);

    assert.equal(limitCounts(segment).evictions, 1);
    // The key that had spent least was forgotten; the others still owe what they owed.
    assert.deepEqual(leftOf(segment, ['key 2', 'key 3', 'key 7']), [15, 14, 10]);
    assert.equal(leftOf(segment, ['newcomer'])[0], 18);
  });

  test('prefers a key that owes nothing any more, which is no loss', () => {
    const { table, segment } = fullBucket();

    table.take('newcomer', START + 100 * SECOND);

    assert.equal(limitCounts(segment).evictions, 0);
  });

  for (const load of [1, 0.75, 0.5, 0.25]) {
    test(`has room for the keys it was made for, ${load * 100} % of them at a time`, () => {
      const maxKeys = 2 ** 15;
      const segment = segmentFor(maxKeys);
      // Always the same, so that a bound on what chance does can be a tight one.
      new DataView(segment.buffer).setFloat64(16, Math.PI);
      const table = new LimitTable(segment, POLICY);
      const keys = maxKeys * load;
      for (let key = 0; key < keys; key++) table.take(`10.0.${key >> 8}.${key & 255}`, START);

      const expected = keys * crowdedOut((load * 8) / 1.75);
      const evicted = limitCounts(segment).evictions;
      const chance = 1 + 4 * Math.sqrt(expected);
      assert.ok(Math.abs(evicted - expected) <= chance, `${evicted} evicted, ${expected} expected`);
      assert.equal(segment.size, maxKeys * 28);
    });
  }
});

/**
 * The share of keys that meet a full bucket: keys fall into buckets as a Poisson
 * process, and those beyond the eighth of a bucket are too many.
 *
 * @param mean keys for each bucket
 */
function crowdedOut(mean: number): number {
  let chance = Math.exp(-mean);
  let tooMany = 0;
  for (let keys = 1; keys < 100; keys++) {
    chance *= mean / keys;
    if (keys > 8) tooMany += (keys - 8) * chance;
  }
  return tooMany / mean;
}

/**
 * Another process at every step. The steps of a table are its atomic operations,
 * so whatever happens between two of them is tried before each one.
 */
describe('a limit table, between any two steps of one process', () => {
  const newcomers = ['newcomer', 'key 0', 'key 7'];
  for (const key of newcomers) {
    test(`the process that serves "${key}" can be killed, and the table still works`, (t) => {
      for (let step = 0; ; step++) {
        const { table, segment } = fullBucket();
        const killed = interrupt(
          t,
          step,
          () => table.take(key, START),
          () => {
            throw new Killed();
          },
        );
        if (!killed) return assert.ok(step > 3, 'there were steps');

        const successor = new LimitTable(segment, POLICY);
        // First the key whose row was being taken: it meets what the dead process left behind.
        for (const other of new Set(['key 0', key, 'another'])) {
          const admitted = admittedAt(successor, START, 25, other);
          assert.ok(admitted >= 10 && admitted <= 20, `step ${step}: ${admitted} of ${other}`);
        }
      }
    });

    test(`somebody can take the row of "${key}", and nobody pays for another`, (t) => {
      for (let step = 0; ; step++) {
        const { table, segment } = fullBucket();
        const other = new LimitTable(segment, POLICY);
        const interrupted = interrupt(
          t,
          step,
          () => table.take(key, START),
          () => {
            other.take('rival', START, 4);
          },
        );
        if (!interrupted) return assert.ok(step > 1, 'there were steps');

        // 19 if the rival has lost its row again, which a full table may do; never less than 15.
        const left = leftOf(segment, ['rival'])[0]!;
        assert.ok(left === 15 || left === 19, `step ${step}: the rival has ${left} left`);
      }
    });
  }

  const meanwhile: { name: string; takes: readonly (readonly [key: string, cost: number])[] }[] = [
    { name: 'arrives too', takes: [['newcomer', 5]] },
    { name: 'arrives often', takes: Array.from({ length: 7 }, () => ['newcomer', 1] as const) },
    {
      name: 'arrives after the key that owed least has spent more',
      takes: [
        ['key 0', 10],
        ['newcomer', 5],
      ],
    },
    {
      name: 'arrives after another new key',
      takes: [
        ['rival', 5],
        ['newcomer', 6],
      ],
    },
    {
      name: 'arrives before another new key',
      takes: [
        ['newcomer', 6],
        ['key 0', 9],
        ['rival', 1],
        ['newcomer', 3],
      ],
    },
  ];
  for (const { name, takes } of meanwhile) {
    test(`the same new key ${name} at a full bucket, and has one allowance`, (t) => {
      for (let step = 0; ; step++) {
        const { table, segment } = fullBucket();
        const other = new LimitTable(segment, POLICY);
        let admitted = 0;
        const take = (from: LimitTable, key: string, cost: number) => {
          if (from.take(key, START, cost) && key === 'newcomer') admitted += cost;
        };
        const interrupted = interrupt(
          t,
          step,
          () => take(table, 'newcomer', 6),
          () => {
            for (const [key, cost] of takes) take(other, key, cost);
          },
        );
        if (!interrupted) return assert.ok(step > 3, 'there were steps');

        // It owes more than others do, so nobody may take its row.
        const left = admittedAt(other, START, 25, 'newcomer');
        assert.ok(admitted + left <= 20, `step ${step}: ${admitted} and ${left} more`);
      }
    });
  }

  test('the same new key can arrive twice, and has one allowance', (t) => {
    for (let step = 0; ; step++) {
      const segment = segmentFor(1);
      const table = new LimitTable(segment, POLICY);
      const other = new LimitTable(segment, POLICY);
      const interrupted = interrupt(
        t,
        step,
        () => table.take('k', START),
        () => {
          other.take('k', START);
        },
      );
      if (!interrupted) return assert.ok(step > 1, 'there were steps');

      assert.equal(admittedAt(other, START, 25), 18, `step ${step}`);
    }
  });
});

const POLICY: LimitPolicy = { count: 1, perMs: 1_000, burst: 20 };

class Killed extends Error {}

function segmentFor(maxKeys: number): Segment {
  return createSegment({ name: 'limit', layout: 1, size: limitTableSize(maxKeys) }, undefined);
}

function tableFor(policy: LimitPolicy): LimitTable {
  return new LimitTable(segmentFor(4_096), policy);
}

function admittedAt(table: LimitTable, now: number, tries: number, key = 'k'): number {
  let admitted = 0;
  for (let nth = 0; nth < tries; nth++) if (table.take(key, now)) admitted += 1;
  return admitted;
}

/** One bucket, in which `key 0` owes 2 requests, `key 1` owes 3, and so on to `key 7`. */
function fullBucket(): { table: LimitTable; segment: Segment } {
  const segment = segmentFor(1);
  const table = new LimitTable(segment, POLICY);
  for (let key = 0; key < 8; key++) table.take(`key ${key}`, START, key + 2);
  return { table, segment };
}

/** What is left of each key's 20 after one more request. */
function leftOf(segment: Segment, keys: readonly string[]): number[] {
  const reader = new LimitTable(segment, POLICY);
  return keys.map((key) => {
    reader.take(key, START);
    return reader.remaining;
  });
}

/**
 * Runs `act`, and `intrude` once, before the given atomic operation of it.
 *
 * @returns whether there was such an operation
 */
function interrupt(t: TestContext, step: number, act: () => void, intrude: () => void): boolean {
  let at = 0;
  const stepping =
    <Args extends unknown[], R>(original: (...args: Args) => R) =>
    (...args: Args): R => {
      if (at++ === step) intrude();
      return original(...args);
    };
  const mocks = (['load', 'store', 'compareExchange', 'add'] as const).map((name) =>
    t.mock.method(Atomics, name, stepping(Atomics[name] as never) as never),
  );
  try {
    act();
  } catch (thrown) {
    if (!(thrown instanceof Killed)) throw thrown;
  } finally {
    for (const { mock } of mocks) mock.restore();
  }
  return at > step;
}

/** The textbook's: one theoretical arrival time per key, as a number. */
class PlainGcra {
  readonly #tats = new Map<string, number>();
  readonly #intervalNs: number;
  readonly #burst: number;

  constructor({ count, perMs, burst }: LimitPolicy) {
    this.#intervalNs = (perMs * 1e6) / count;
    this.#burst = burst;
  }

  take(key: string, now: number, cost: number): boolean {
    const next = Math.max(now, this.#tats.get(key) ?? 0) + cost * this.#intervalNs;
    // A microsecond of tolerance, as the table's.
    if (next - now > this.#burst * this.#intervalNs + 1_000) return false;
    this.#tats.set(key, next);
    return true;
  }
}

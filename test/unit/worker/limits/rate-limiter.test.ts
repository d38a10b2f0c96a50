import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import {
  bindLimiters,
  limiterSpecs,
  RateLimiter,
  type RateLimiterOptions,
} from '../../../../src/worker/limits/rate-limiter.ts';

/** Names are unique in a process, and tests share one. */
let named = 0;

/** A clock that stands still. */
const held = () => 1e12;

function newLimiter(options: Partial<RateLimiterOptions> = {}): RateLimiter {
  const defaults = { name: `limit-${named++}`, rate: '10/s', burst: 2, maxKeys: 1_024 };
  return new RateLimiter({ ...defaults, ...options });
}

describe('a rate limiter', () => {
  test('admits its burst, and then what its rate earns', () => {
    let now = 1e12;
    const limiter = newLimiter();
    limiter.bind(createSegment(limiter.spec, undefined), () => now);

    const allowing = { allowed: true, retryAfterMs: 0 };
    assert.deepEqual(limiter.check('k'), { ...allowing, remaining: 1, resetMs: 100 });
    assert.deepEqual(limiter.check('k'), { ...allowing, remaining: 0, resetMs: 200 });
    const { allowed, remaining, retryAfterMs } = limiter.check('k');
    assert.deepEqual([allowed, remaining], [false, 0]);
    assert.ok(retryAfterMs > 99.9 && retryAfterMs <= 100, `${retryAfterMs}`);

    now += 100e6;
    assert.equal(limiter.check('k').allowed, true);
    assert.equal(limiter.check('k').allowed, false);
  });

  test('charges what a check costs', () => {
    const limiter = newLimiter({ burst: 10 });
    limiter.bind(createSegment(limiter.spec, undefined), held);

    assert.equal(limiter.check('k', 8).remaining, 2);
    assert.equal(limiter.check('k', 3).allowed, false);
    assert.equal(limiter.check('k', 2).allowed, true);
  });

  test('tells how things stand for nothing', () => {
    const limiter = newLimiter();
    limiter.bind(createSegment(limiter.spec, undefined), held);
    for (let time = 0; time < 3; time++) assert.equal(limiter.check('k', 0).remaining, 2);
  });

  test('never admits what costs more than its burst, and does not say when to come again', () => {
    const limiter = newLimiter({ burst: 10 });
    limiter.bind(createSegment(limiter.spec, undefined), held);

    const decision = limiter.check('k', 11);

    assert.deepEqual([decision.allowed, decision.retryAfterMs], [false, Number.POSITIVE_INFINITY]);
    assert.equal(limiter.check('k', 10).allowed, true);
  });

  for (const cost of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    test(`refuses a cost of ${cost}, and charges nothing`, () => {
      const limiter = newLimiter();
      limiter.bind(createSegment(limiter.spec, undefined), held);

      assert.throws(
        () => limiter.check('k', cost),
        /^TypeError: cost: expected 0 or more requests/,
      );
      assert.equal(limiter.check('k', 0).remaining, 2);
    });
  }

  test('counts days, too', () => {
    let now = 1e12;
    const limiter = newLimiter({ rate: '24/d', burst: 1 });
    limiter.bind(createSegment(limiter.spec, undefined), () => now);

    assert.equal(limiter.check('k').allowed, true);
    const { retryAfterMs } = limiter.check('k');
    assert.ok(retryAfterMs > 3_599_999 && retryAfterMs <= 3_600_000, `${retryAfterMs}`);
    now += 3_600e9;
    assert.equal(limiter.check('k').allowed, true);
  });

  test('spends from several, all or nothing', () => {
    const [wide, narrow, last] = [5, 2, 9].map((burst) => newLimiter({ burst }));
    const all = [wide!, narrow!, last!];
    for (const limiter of all) limiter.bind(createSegment(limiter.spec, undefined), held);
    const charges = all.map((limiter) => ({ limiter, key: 'k' }));

    const allowed = Array.from({ length: 6 }, () => RateLimiter.checkAll(charges)).map(
      (decisions) => decisions.length === 3 && decisions.every((each) => each.allowed),
    );

    assert.deepEqual(allowed, [true, true, false, false, false, false]);
    assert.deepEqual(
      all.map((limiter) => limiter.check('k', 0).remaining),
      [3, 0, 7],
    );
  });

  test('shares its allowance with every process that binds the same segment', () => {
    const one = newLimiter();
    const other = newLimiter();
    const segment = createSegment(one.spec, undefined);
    one.bind(segment, held);
    other.bind(segment, held);

    assert.equal(one.check('k').allowed, true);
    assert.equal(other.check('k').allowed, true);
    assert.equal(one.check('k').allowed, false);
  });

  test('names the memory it needs, and is given it by name', () => {
    const limiter = newLimiter({ name: 'by-name' });
    assert.equal(limiter.spec.name, 'limit:by-name');
    assert.ok(limiterSpecs().includes(limiter.spec));

    const segments = new Map(
      limiterSpecs().map((spec) => [spec.name, createSegment(spec, undefined)]),
    );
    bindLimiters((name) => segments.get(name), held);

    assert.equal(limiter.check('k').allowed, true);
    assert.throws(
      () => bindLimiters(() => undefined, held),
      /the supervisor has no limiter "limit:/,
    );
  });

  test('cannot be used before the server runs', () => {
    assert.throws(() => newLimiter().check('k'), /was used before the server ran/);
  });

  test('has a name of its own', () => {
    const { spec } = newLimiter();
    const name = spec.name.slice('limit:'.length);

    assert.throws(() => newLimiter({ name }), /exists already; each needs a name of its own/);
  });

  const wrong: Partial<RateLimiterOptions>[] = [
    { burst: 0 },
    { burst: 1.5 },
    { burst: Number.NaN },
    { burst: 1_000_001 },
    { rate: '10' },
    { rate: '0/s' },
    { rate: '10/w' },
    { rate: '1.5/s' },
    { rate: '' },
    { maxKeys: 0 },
    { maxKeys: 1e9 },
    { scope: 'cluster' as never },
    { rate: { count: 0, perMs: 1_000 } },
    { rate: { count: 1, perMs: 0 } },
    { rate: { count: Number.NaN, perMs: 1_000 } },
    { rate: { count: -1, perMs: -1 } },
  ];
  for (const options of wrong) {
    test(`is refused with ${JSON.stringify(options)}`, () => {
      assert.throws(() => newLimiter(options), /^TypeError: (burst|rate|maxKeys|scope): expected/);
    });
  }
});

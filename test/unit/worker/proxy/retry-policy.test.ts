import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';
import { mayRepeat, RetryPolicy } from '../../../../src/worker/proxy/retry-policy.ts';

/** How many may run at the same time. */
function allowed(policy: RetryPolicy, runningRequests: number): number {
  let taken = 0;
  while (taken < 1_000 && policy.take(runningRequests)) taken += 1;
  for (let n = 0; n < taken; n++) policy.give();
  return taken;
}

describe('the retry budget', () => {
  const cases = [
    { name: 'by default a fifth of the running requests', options: {}, running: 100, most: 20 },
    { name: 'a small minimum, however few requests run', options: {}, running: 1, most: 3 },
    { name: 'another share', options: { budgetPercent: 50 }, running: 100, most: 50 },
    { name: 'another minimum', options: { minConcurrent: 0 }, running: 4, most: 0 },
    { name: 'no part of a retry', options: { minConcurrent: 0 }, running: 9, most: 1 },
    { name: 'nothing', options: { budgetPercent: 0, minConcurrent: 0 }, running: 1_000, most: 0 },
  ];
  for (const { name, options, running, most } of cases) {
    test(`allows ${name}`, () => {
      assert.equal(allowed(new RetryPolicy(options), running), most);
    });
  }

  test('is there again when a retry has ended', () => {
    const policy = new RetryPolicy({ minConcurrent: 1, budgetPercent: 0 });
    assert.equal(policy.take(1), true);
    assert.equal(policy.take(1), false);
    policy.give();
    assert.equal(policy.take(1), true);
  });
});

describe('a request that failed', () => {
  const cases = [
    { code: 'upstream/connect-refused', idempotent: 'yes', other: 'yes' },
    { code: 'upstream/idle-connection-closed', idempotent: 'yes', other: 'no' },
    { code: 'upstream/closed', idempotent: 'if-asked', other: 'no' },
    { code: 'upstream/read-timeout', idempotent: 'if-asked', other: 'no' },
  ] as const;
  for (const { code, idempotent, other } of cases) {
    test(`with ${code} may be sent again: ${idempotent}, and if it is a POST: ${other}`, () => {
      const error = new ProxyError(code, 'made for the test');
      assert.equal(mayRepeat(error, true), idempotent);
      assert.equal(mayRepeat(error, false), other);
    });
  }
});

describe('the pause before a retry', () => {
  const policy = new RetryPolicy({ backOffMs: 25, maxBackOffMs: 250 });

  test('doubles with each attempt, up to a bound', () => {
    const longest = [1, 2, 3, 4, 5, 50].map((attempts) => policy.pauseMs(attempts, 1));
    assert.deepEqual(longest, [25, 50, 100, 200, 250, 250]);
  });

  test('is a random part of it', () => {
    assert.equal(policy.pauseMs(1, 0), 0);
    assert.equal(policy.pauseMs(2, 0.5), 25);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  judge,
  TcpHealthCheck,
  type Standing,
} from '../../../../src/worker/balance/health-check.ts';

/** What the results of probes make of a peer: `+` succeeded, `-` failed. */
const stories = [
  { need: [1, 1], from: 'unknown', results: '+', verdicts: 'h' },
  { need: [1, 1], from: 'unknown', results: '-', verdicts: 'i' },
  { need: [1, 1], from: 'healthy', results: '-+-', verdicts: 'ihi' },
  { need: [3, 3], from: 'unknown', results: '+', verdicts: 'h' },
  { need: [3, 3], from: 'unknown', results: '--+', verdicts: '??h' },
  { need: [3, 3], from: 'unknown', results: '---', verdicts: '??i' },
  { need: [3, 3], from: 'healthy', results: '---', verdicts: 'hhi' },
  { need: [3, 3], from: 'healthy', results: '--+--', verdicts: 'hhhhh' },
  { need: [3, 3], from: 'healthy', results: '--+---', verdicts: 'hhhhhi' },
  { need: [2, 3], from: 'ill', results: '++', verdicts: 'ih' },
  { need: [2, 3], from: 'ill', results: '+-+', verdicts: 'iii' },
  { need: [2, 3], from: 'ill', results: '++--', verdicts: 'ihhh' },
  { need: [2, 3], from: 'ill', results: '++---', verdicts: 'ihhhi' },
] as const;

const LETTERS = { unknown: '?', healthy: 'h', ill: 'i' };

describe('a peer that is probed', () => {
  for (const { need, from, results, verdicts } of stories) {
    const [consecutiveSuccess, consecutiveFailure] = need;
    test(`${from}, with ${need.join(' and ')} in a row needed: after ${results} it is ${verdicts}`, () => {
      const check = new TcpHealthCheck({ consecutiveSuccess, consecutiveFailure });
      let standing: Standing = { verdict: from, contrary: 0 };
      let seen = '';
      for (const result of results) {
        standing = judge(standing, result === '+', check);
        seen += LETTERS[standing.verdict];
      }
      assert.equal(seen, verdicts);
    });
  }

  test('is believed at once, and given a second, unless its check says otherwise', () => {
    const { timeoutMs, consecutiveSuccess, consecutiveFailure } = new TcpHealthCheck();
    assert.deepEqual([timeoutMs, consecutiveSuccess, consecutiveFailure], [1_000, 1, 1]);
  });
});

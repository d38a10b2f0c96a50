import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { hash32 } from '../../../../src/shared/memory/hash.ts';

describe('hash32', () => {
  test('is the same for the same key and seed, and 32 bits wide', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer(), (key, seed) => {
        const hash = hash32(key, seed | 0);
        assert.equal(hash, hash32(key, seed | 0));
        assert.equal(hash, hash | 0);
      }),
    );
  });

  const pairs = [
    ['a', 'b'],
    ['ab', 'ba'],
    ['', '\0'],
    ['a', 'a\0'],
    ['10.0.0.1', '10.0.0.10'],
    ['é', 'e\u0301'],
    ['\u0100', '\u0001'],
  ] as const;
  for (const [left, right] of pairs) {
    test(`tells ${JSON.stringify(left)} from ${JSON.stringify(right)}`, () => {
      for (const seed of [0, 1, -1, 0x12345678]) {
        assert.notEqual(hash32(left, seed), hash32(right, seed), `seed ${seed}`);
      }
    });
  }

  test('two seeds give two hashes that know nothing of each other', () => {
    const collisions = new Map<number, string[]>();
    for (let at = 0; at < 50_000; at++) {
      const key = `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
      const hash = hash32(key, 1) & 0xffff;
      collisions.set(hash, [...(collisions.get(hash) ?? []), key]);
    }
    const together = [...collisions.values()].filter((keys) => keys.length > 1);
    const again = together.filter(
      ([first = '', second = '']) => (hash32(first, 2) & 0xffff) === (hash32(second, 2) & 0xffff),
    );
    assert.ok(together.length > 1_000, 'there is something to check');
    assert.ok(again.length < 10, `${again.length} of ${together.length} pairs collide again`);
  });

  test('spreads addresses evenly over buckets', () => {
    const buckets = new Uint32Array(256);
    for (let at = 0; at < 65_536; at++) {
      buckets[(hash32(`192.168.${at >> 8}.${at & 255}`, 7) >>> 1) & 255]! += 1;
    }
    // 256 are expected in each; five standard deviations are 80.
    assert.ok(Math.max(...buckets) < 340 && Math.min(...buckets) > 175, buckets.join());
  });
});

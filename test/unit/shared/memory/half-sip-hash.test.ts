import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { HalfSipHash } from '../../../../src/shared/memory/half-sip-hash.ts';

/** Published with the algorithm: key 00 01 … 07, inputs of 0, 1, 2 … bytes 00 01 02 … */
const published = [
  '218d1f59b9b83cc8',
  'be552412f8387315',
  '064f39ef7c50eb57',
  'ce0f1a45f7060679',
  'd5e78a175be52ea1',
  'cb9d7c3f2f3db580',
  'ce3e91358aa2bc25',
  'ff202728b07bc684',
  'edfee820bce4858c',
  '5b51cccc13888307',
  '95b0469f06a6f2ee',
  'ae26333994ddcd48',
  '7bc71f9faef5c799',
  '5a2352d75a0c3744',
  '3bb1a870eae8e658',
  '217d0bcb4e81c902',
];

describe('HalfSipHash', () => {
  for (const [length, expected] of published.entries()) {
    test(`hashes ${length} bytes as published`, () => {
      assert.equal(
        hashed('\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e'.slice(0, length)),
        expected,
      );
    });
  }

  test('is another hash with another seed', () => {
    assert.notEqual(hashed('203.0.113.7', [1, 2]), hashed('203.0.113.7', [1, 3]));
    assert.notEqual(hashed('203.0.113.7', [1, 2]), hashed('203.0.113.7', [0, 2]));
  });

  const alike = [
    ['\u4241', 'AB'],
    ['\u4241', 'BA'],
    ['\u0100', '\u0001'],
    ['a\u0100', 'a\u0001'],
    ['\ud800', '\ud801'],
    ['', '\0'],
    ['a'.repeat(1), 'a'.repeat(257)],
  ] as const;
  for (const [one, other] of alike) {
    test(`tells ${JSON.stringify(one)} from ${JSON.stringify(other)}`, () => {
      assert.notEqual(hashed(one), hashed(other));
    });
  }

  test('tells any two strings apart', () => {
    const text = fc.string({ unit: 'binary', maxLength: 12 });
    fc.assert(
      fc.property(text, text, (one, other) => {
        assert.equal(hashed(one) === hashed(other), one === other);
      }),
    );
  });
});

function hashed(key: string, seed: readonly [number, number] = [0x03020100, 0x07060504]): string {
  const hash = new HalfSipHash(seed);
  hash.update(key);
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(hash.first, 0);
  bytes.writeInt32LE(hash.second, 4);
  return bytes.toString('hex');
}

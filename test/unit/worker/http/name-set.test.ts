import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NameSet } from '../../../../src/worker/http/name-set.ts';

describe('NameSet', () => {
  const set = new NameSet(['Via', 'X-One'], ['x-two-three', 'x_four', 'five', 'Via']);
  const inside = 'via VIA x-one X-ONE x_two_three X_Two-Three x-TWO_three X-Four'.split(' ');
  const outside = [
    '',
    'x one',
    ...'vi via2 x_one x-on\xe5 x_four x.four five fi_e'.split(' '),
    ...'x-two-three X-Two-Three x_two_threes x.two.three x_tw0_three __two_three'.split(' '),
  ];

  for (const name of inside) {
    test(`has ${JSON.stringify(name)}`, () => assert.ok(set.has(name)));
  }

  for (const name of outside) {
    test(`does not have ${JSON.stringify(name)}`, () => assert.equal(set.has(name), false));
  }

  test('finds names within a text, and nothing beyond their ends', () => {
    const text = 'Via: x_two_three: x-one';
    assert.ok(set.hasPart(text, 0, 3));
    assert.ok(set.hasPart(text, 5, 16));
    assert.equal(set.hasPart(text, 0, 4), false);
    assert.equal(set.hasPart(text, 6, 16), false);
  });
});

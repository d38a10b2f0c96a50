import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { random, roundRobin, type Candidate } from '../../../../src/worker/balance/selection.ts';

interface Named extends Candidate {
  readonly name: string;
}

const candidates = (weights: Readonly<Record<string, number>>): Named[] =>
  Object.entries(weights).map(([name, weight]) => ({ name, weight }));

function shares(choose: () => Named, times: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let nth = 0; nth < times; nth++) {
    const { name } = choose();
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe('round robin', () => {
  test('gives every peer the same number of requests', () => {
    const peers = candidates({ a: 1, b: 1, c: 1 });
    const select = roundRobin()();

    assert.deepEqual(
      shares(() => select(peers), 300),
      { a: 100, b: 100, c: 100 },
    );
  });

  test('asks each peer once per round, in the same order', () => {
    const peers = candidates({ a: 1, b: 1, c: 1 });
    const select = roundRobin()();
    const round = () => [0, 1, 2].map(() => select(peers).name);

    const first = round();
    assert.equal(new Set(first).size, 3);
    assert.deepEqual(round(), first);
  });

  test('shares in proportion to the weights, whatever they are', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, (weights) => {
        const peers = weights.map((weight, at) => ({ name: String(at), weight }));
        const total = weights.reduce((sum, weight) => sum + weight);
        const select = roundRobin()();
        const counts = shares(() => select(peers), total * 10);
        for (const { name, weight } of peers) {
          // The random start moves the whole pattern, by less than a round.
          assert.ok(
            Math.abs((counts[name] ?? 0) - weight * 10) <= weights.length,
            `${name}: ${counts[name]}`,
          );
        }
      }),
    );
  });

  test('sends no bursts to a heavy peer', (t) => {
    t.mock.method(Math, 'random', () => 0);
    const peers = candidates({ a: 5, b: 1, c: 1 });
    const select = roundRobin()();

    assert.equal([1, 2, 3, 4, 5, 6, 7].map(() => select(peers).name).join(''), 'aabacaa');
  });

  test('shares among those that are left, and again among all', () => {
    const peers = candidates({ a: 1, b: 1, c: 1 });
    const select = roundRobin()();
    select(peers);

    const without = shares(() => select(peers.slice(1)), 100);
    assert.ok(Math.abs(without['b']! - without['c']!) <= 2, JSON.stringify(without));

    const again = shares(() => select(peers), 300);
    for (const count of Object.values(again))
      assert.ok(Math.abs(count - 100) <= 2, JSON.stringify(again));
  });

  test('does not begin with the same peer in every worker', () => {
    const peers = candidates({ a: 1, b: 1 });
    const firsts = new Set(Array.from({ length: 64 }, () => roundRobin()()(peers).name));

    assert.deepEqual([...firsts].sort(), ['a', 'b']);
  });

  test('has a state of its own in each balancer', () => {
    const peers = candidates({ a: 1, b: 1 });
    const selection = roundRobin();
    const [one, other] = [selection(), selection()];
    const first = one(peers).name;
    for (let nth = 0; nth < 3; nth++) other(peers);

    assert.notEqual(one(peers).name, first);
  });
});

describe('random', () => {
  const tickets = [
    [0, 'a'],
    [0.249, 'a'],
    [0.25, 'b'],
    [0.999_999, 'b'],
  ] as const;
  for (const [ticket, name] of tickets) {
    test(`with the ticket ${ticket} takes ${name} of a (1) and b (3)`, (t) => {
      t.mock.method(Math, 'random', () => ticket);

      assert.equal(random()()(candidates({ a: 1, b: 3 })).name, name);
    });
  }
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { consistent } from '../../../../src/worker/balance/consistent.ts';
import { ewma } from '../../../../src/worker/balance/ewma.ts';
import { fnv1a, fnvHash } from '../../../../src/worker/balance/fnv-hash.ts';
import { leastRequests } from '../../../../src/worker/balance/least-requests.ts';
import { maglev } from '../../../../src/worker/balance/maglev.ts';
import { p2c } from '../../../../src/worker/balance/p2c.ts';
import { random } from '../../../../src/worker/balance/random.ts';
import { roundRobin } from '../../../../src/worker/balance/round-robin.ts';
import type { Candidate, Selection } from '../../../../src/worker/balance/selection.ts';

const SELECTIONS: readonly Selection[] = [
  roundRobin(),
  random(),
  p2c(),
  leastRequests(),
  ewma(),
  consistent(),
  fnvHash(),
  maglev(),
];

const everybody = () => true;

const peersOf = (weights: readonly number[]): Candidate[] =>
  weights.map((weight, nth) => ({
    address: `10.0.${nth >> 8}.${nth & 255}:80`,
    weight,
    inFlight: 0,
    latencyUs: 0,
  }));

/** How many of so many requests, each with a key of its own, each peer gets. */
function shares(
  selection: Selection,
  peers: readonly Candidate[],
  times: number,
  accept: (peer: Candidate) => boolean = everybody,
): number[] {
  const picker = selection.build(peers);
  const counts = new Map(peers.map((peer) => [peer, 0]));
  for (let nth = 0; nth < times; nth++) {
    const chosen = picker.pick(accept, `key-${nth}`)!;
    counts.set(chosen, counts.get(chosen)! + 1);
  }
  return [...counts.values()];
}

for (const selection of SELECTIONS) {
  describe(`every algorithm, such as ${selection.name}`, () => {
    test('chooses the only peer there is', () => {
      const [only] = peersOf([3]);

      assert.equal(selection.build([only!]).pick(everybody, 'a'), only);
    });

    test('shares in proportion to the weights', () => {
      const counts = shares(selection, peersOf([1, 2, 5]), 16_000);

      for (const [nth, expected] of [2_000, 4_000, 10_000].entries()) {
        const error = Math.abs(counts[nth]! - expected) / expected;
        assert.ok(error < 0.2, `peer ${nth}: ${counts[nth]} of about ${expected}`);
      }
    });

    test('never chooses who is not taken, and shares among the others', () => {
      const peers = peersOf([1, 1, 1, 1, 1, 1, 1, 1]);
      const counts = shares(selection, peers, 16_000, (peer) => peer !== peers[3]);

      assert.equal(counts[3], 0);
      for (const [nth, count] of counts.entries()) {
        if (nth !== 3) assert.ok(count > 1_600 && count < 3_300, `peer ${nth}: ${count}`);
      }
    });

    test('finds the one that is taken, whoever it is and whatever the others weigh', () => {
      const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });
      fc.assert(
        fc.property(weights, fc.nat(), fc.string(), (weights, nth, key) => {
          const peers = peersOf(weights);
          const taken = peers[nth % peers.length];
          assert.equal(
            selection.build(peers).pick((peer) => peer === taken, key),
            taken,
          );
        }),
        { numRuns: 30 },
      );
    });

    test('chooses nobody if nobody is taken, and asks a bounded number of times', () => {
      const peers = peersOf(Array.from({ length: 100 }, () => 1));
      let asked = 0;
      const nobody = () => {
        asked += 1;
        return false;
      };

      assert.equal(selection.build(peers).pick(nobody, 'a'), undefined);
      assert.ok(asked >= peers.length && asked <= 2 * peers.length, `${asked}`);
    });

    test('takes a thousand peers of any weight', () => {
      const peers = peersOf(Array.from({ length: 1_000 }, (_, nth) => 1 + (nth % 100)));

      assert.ok(peers.includes(selection.build(peers).pick(everybody, 'a')!));
    });
  });
}

for (const selection of SELECTIONS.filter(({ byKey }) => byKey)) {
  describe(`an algorithm that goes by a key, such as ${selection.name}`, () => {
    const peers = peersOf([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const keys = Array.from({ length: 10_000 }, (_, nth) => `key-${nth}`);
    const owners = (build: readonly Candidate[], accept: (peer: Candidate) => boolean) => {
      const picker = selection.build(build);
      return keys.map((key) => picker.pick(accept, key)!.address);
    };
    const home = owners(peers, everybody);

    test('gives a key to the same peer in every process', () => {
      assert.deepEqual(owners(peersOf(peers.map(() => 1)), everybody), home);
    });

    test('moves only the keys of a peer that is ill, and spreads them over the others', () => {
      const ill = peers[4]!;
      const now = owners(peers, (peer) => peer !== ill);
      const moved = new Map<string, number>();
      for (const [nth, address] of now.entries()) {
        if (home[nth] !== ill.address) assert.equal(address, home[nth]);
        else moved.set(address, (moved.get(address) ?? 0) + 1);
      }

      assert.equal(moved.size, 9);
    });
  });
}

for (const [selection, most] of [
  [consistent(), 0],
  [maglev(), 0.05],
] as const) {
  test(`${selection.name}: when one of ten peers leaves, about a tenth of the keys move`, () => {
    const peers = peersOf([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const before = selection.build(peers);
    const after = selection.build(peers.slice(0, 9));
    const left = peers[9]!;
    let movedNeedlessly = 0;
    for (let nth = 0; nth < 10_000; nth++) {
      const was = before.pick(everybody, `key-${nth}`);
      if (was !== left && after.pick(everybody, `key-${nth}`) !== was) movedNeedlessly += 1;
    }

    assert.ok(movedNeedlessly <= most * 10_000, `${movedNeedlessly} of 10000`);
  });
}

describe('round robin', () => {
  const order = (weights: readonly number[], times: number) => {
    const peers = peersOf(weights);
    const picker = roundRobin().build(peers);
    return Array.from(
      { length: times },
      () => 'abcdef'[peers.indexOf(picker.pick(everybody, '')!)],
    );
  };

  test('asks each peer once per round, in the same order', () => {
    const asked = order([1, 1, 1], 6);

    assert.equal(new Set(asked.slice(0, 3)).size, 3);
    assert.deepEqual(asked.slice(3), asked.slice(0, 3));
  });

  test('shares exactly in proportion to the weights', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight);
        const counts = shares(roundRobin(), peersOf(weights), total * 3);
        assert.deepEqual(
          counts,
          weights.map((weight) => weight * 3),
        );
      }),
    );
  });

  test('sends no bursts to a heavy peer', (t) => {
    t.mock.method(Math, 'random', () => 0);

    assert.equal(order([5, 1, 1], 7).join(''), 'aabacaa');
  });

  test('shares evenly among those that are left', () => {
    const peers = peersOf([1, 1, 1, 1]);
    const counts = shares(roundRobin(), peers, 300, (peer) => peer !== peers[1]);

    assert.deepEqual(counts, [100, 0, 100, 100]);
  });

  test('does not begin with the same peer in every worker', () => {
    const firsts = new Set(Array.from({ length: 64 }, () => order([1, 1], 1)[0]));

    assert.deepEqual(firsts, new Set(['a', 'b']));
  });
});

describe('random', () => {
  const tickets = [
    [0, 0],
    [0.249, 0],
    [0.25, 1],
    [0.999_999, 1],
  ] as const;
  for (const [ticket, nth] of tickets) {
    test(`with the ticket ${ticket} takes peer ${nth} of weights 1 and 3`, (t) => {
      t.mock.method(Math, 'random', () => ticket);
      const peers = peersOf([1, 3]);

      assert.equal(random().build(peers).pick(everybody, ''), peers[nth]);
    });
  }
});

/** Peers of so many requests under way, with a weight of 1 unless it is given. */
const busy = (...loads: readonly (number | Partial<Candidate>)[]): Candidate[] =>
  loads.map((load, nth) => ({
    ...peersOf(loads.map(() => 1))[nth]!,
    ...(typeof load === 'number' ? { inFlight: load } : load),
  }));

for (const selection of [p2c(), leastRequests(), ewma()]) {
  describe(`an algorithm that goes by requests under way, such as ${selection.name}`, () => {
    test('of two peers takes the one with fewer', () => {
      assert.deepEqual(shares(selection, busy(3, 2), 100), [0, 100]);
    });

    test('counts a request as less where the weight is more', () => {
      const peers = busy({ weight: 4, inFlight: 7 }, { weight: 2, inFlight: 4 });

      assert.deepEqual(shares(selection, peers, 100), [100, 0]);
    });

    test('leaves the busiest of all alone, and nobody else', () => {
      const counts = shares(selection, busy(9, 0, 0), 3_000);

      assert.equal(counts[0], 0);
      assert.ok(counts[1]! > 1_300 && counts[2]! > 1_300, counts.join(', '));
    });

    test('takes a busy peer rather than none', () => {
      const peers = busy(9, 0, 0);

      assert.deepEqual(
        shares(selection, peers, 10, (peer) => peer === peers[0]),
        [10, 0, 0],
      );
    });

    test('weighs two peers against each other, however heavy one of them is', () => {
      const peers = busy({ weight: 1_000_000, inFlight: 1_000_001 }, { weight: 1, inFlight: 0 });

      assert.deepEqual(shares(selection, peers, 100), [0, 100]);
    });
  });
}

describe('least_requests', () => {
  const changing = (count: number) => {
    const loads = new Int32Array(count);
    const peers = peersOf(Array.from(loads, () => 1)).map((peer, nth) =>
      Object.defineProperty({ ...peer }, 'inFlight', { get: () => loads[nth] }),
    );
    return { loads, peers, picker: leastRequests().build(peers) };
  };

  for (const count of [1, 2, 3, 64, 100, 1_000]) {
    test(`fills ${count} peers evenly, request by request`, () => {
      const { loads, peers, picker } = changing(count);
      for (let nth = 0; nth < count * 3; nth++)
        loads[peers.indexOf(picker.pick(everybody, '')!)]! += 1;

      assert.deepEqual(new Set(loads), new Set([3]));
    });
  }

  test('finds the least busy of a thousand, wherever it is', () => {
    for (let nth = 0; nth < 1_000; nth += 37) {
      const { loads, peers, picker } = changing(1_000);
      loads.fill(5);
      loads[nth] = 4;

      assert.equal(picker.pick(everybody, ''), peers[nth]);
    }
  });

  test('finds a peer that is not busy any more, within ten milliseconds of a thousand', (t) => {
    let nowMs = 1_000;
    t.mock.method(performance, 'now', () => nowMs);
    const { loads, peers, picker } = changing(1_000);
    loads.fill(5);
    picker.pick(everybody, '');
    loads[700] = 0;
    nowMs += 10;

    assert.equal(picker.pick(everybody, ''), peers[700]);
  });

  test('never takes a peer for idle that others have made busy since', (t) => {
    t.mock.method(performance, 'now', () => 1_000);
    const { loads, peers, picker } = changing(100);
    picker.pick(everybody, '');
    loads.subarray(0, 90).fill(7);
    const idle = new Set(peers.slice(90));

    for (let nth = 0; nth < 100; nth++) assert.ok(idle.has(picker.pick(everybody, '')!), `${nth}`);
  });
});

describe('ewma', () => {
  test('takes the peer that answers sooner', () => {
    assert.deepEqual(shares(ewma(), busy({ latencyUs: 900 }, { latencyUs: 800 }), 100), [0, 100]);
  });

  test('lets a fast peer have more under way than a slow one, in proportion', () => {
    const slow = { latencyUs: 4_000, inFlight: 0 };
    const shareOfSlow = (inFlight: number) =>
      shares(ewma(), busy(slow, { latencyUs: 1_000, inFlight }), 100)[0];

    assert.equal(shareOfSlow(2), 0);
    assert.equal(shareOfSlow(4), 100);
  });

  test('takes a peer that nobody knows yet for as fast as any', () => {
    const known = { latencyUs: 1_000_000, inFlight: 2 };

    assert.deepEqual(shares(ewma(), busy(known, { inFlight: 1 }), 100), [0, 100]);
    assert.deepEqual(shares(ewma(), busy(known, { inFlight: 3 }), 100), [100, 0]);
  });

  test('means the same by weights of 1 and 3 as by 100 and 300', () => {
    const weighed = (times: number) =>
      busy(
        { weight: times, inFlight: 2, latencyUs: 1_000 },
        { weight: 3 * times, inFlight: 3, latencyUs: 1_500 },
      );

    assert.deepEqual(shares(ewma(), weighed(1), 10), shares(ewma(), weighed(100), 10));
  });
});

describe('FNV-1a', () => {
  // The test vectors of its authors.
  for (const [text, hash] of [
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
  ] as const) {
    test(`of "${text}"`, () => {
      assert.equal(fnv1a(text), hash);
    });
  }
});

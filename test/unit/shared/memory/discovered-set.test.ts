import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DiscoveredSet, discoveredSetSpec } from '../../../../src/shared/memory/discovered-set.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const ONE = [{ address: '10.0.0.1:80', weight: 1, priority: 0 }];
const TWO = [{ address: '10.0.0.2:80', weight: 2, priority: 1 }];

describe('a discovered set in shared memory', () => {
  test('is nothing before the first one, which may be empty', () => {
    const [set, other] = views();
    assert.equal(set.number, 0);
    assert.equal(set.read(), undefined);

    set.publish([]);
    assert.deepEqual(other.read(), { number: 1, peers: [] });
  });

  test('is the one that was published last, and has a number of its own', () => {
    const [set, other] = views();
    for (const peers of [ONE, TWO, ONE, ONE]) {
      const before = other.number;
      set.publish(peers);
      assert.notEqual(other.number, before);
      assert.deepEqual(other.read()?.peers, inSlots(peers));
    }
  });

  test('is not believed where it does not agree with its checksum', () => {
    const [set, , bytes] = views();
    set.publish(ONE);
    const at = Buffer.from(bytes).indexOf('10.0.0.1');
    bytes[at] = '2'.charCodeAt(0);
    assert.equal(set.read(), undefined);
  });

  test('stays what it was when a worker is killed while it writes the next one', () => {
    const [set, other, bytes] = views();
    set.publish(TWO);
    set.publish(ONE);
    // Where the next one would go.
    const at = Buffer.from(bytes).indexOf('10.0.0.2');
    bytes.fill(0x7b, at - 20, at + 100);
    assert.deepEqual(other.read()?.peers, inSlots(ONE));
    other.publish(TWO);
    assert.deepEqual(set.read()?.peers, inSlots(TWO));
  });

  test('leaves peers their slots while they are there, and gives those of others away again', () => {
    const [set] = views();
    const slotsOf = (...addresses: string[]) => {
      set.publish(addresses.map((address) => ({ address, weight: 1, priority: 0 })));
      return set.read()!.peers.map(({ slot }) => slot);
    };
    assert.deepEqual(slotsOf('a:80', 'b:80', 'c:80'), [0, 1, 2]);
    assert.deepEqual(slotsOf('c:80'), [2]);
    assert.deepEqual(slotsOf('0:80', 'c:80', 'd:80', 'e:80'), [0, 2, 1, 3]);
    // Addresses that come and go without end take no more slots than peers that are there at a time.
    for (let round = 0; round < 100; round++) {
      const slots = slotsOf(`x${round}:80`, `y${round}:80`, `x${round + 1}:80`);
      assert.ok(Math.max(...slots) < 6, `round ${round}: ${String(slots)}`);
    }
  });

  test('has room for a thousand peers with the longest names, and says when it has not', () => {
    const [set] = views();
    const many = (length: number) =>
      Array.from({ length: 1_000 }, (_, at) => {
        return { address: `${at}`.padStart(length, 'x'), weight: 1, priority: 0 };
      });
    set.publish(many(240));
    assert.equal(set.read()?.peers.length, 1_000);
    assert.throws(() => set.publish(many(300)), /expected peers that take at most 262144 bytes/);
  });
});

/** As a first set has them. */
function inSlots<P extends object>(peers: readonly P[]) {
  return peers.map((peer, slot) => ({ ...peer, slot }));
}

function views(): [DiscoveredSet, DiscoveredSet, Uint8Array] {
  const segment = createSegment(discoveredSetSpec('api', 'test'), undefined);
  return [new DiscoveredSet(segment), new DiscoveredSet(segment), new Uint8Array(segment.buffer)];
}

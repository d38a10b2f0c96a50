import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Connections, pairOf } from '../../../../src/prove/wire/connections.ts';

describe('Connections', () => {
  test('dooms those that a worker has, and no others', () => {
    const connections = new Connections();
    const [his, other] = [{ doomed: false }, { doomed: false }];
    connections.add(pairOf(4000, 80), his);
    connections.add(pairOf(4000, 81), other);

    connections.doom([pairOf(4000, 80)]);

    assert.deepEqual([his.doomed, other.doomed], [true, false]);
  });

  test('dooms one that the worker had before its client heard that it was made', () => {
    const connections = new Connections();
    connections.doom([pairOf(4000, 80)]);
    const late = { doomed: false };
    connections.add(pairOf(4000, 80), late);

    assert.ok(late.doomed);
  });

  test('does not doom who gets the same ports later', () => {
    const connections = new Connections();
    connections.doom([pairOf(4000, 80), pairOf(4001, 80)]);
    const first = { doomed: false };
    connections.add(pairOf(4000, 80), first);
    connections.remove(pairOf(4000, 80), first);
    connections.forgetAnnounced();

    const [again, other] = [{ doomed: false }, { doomed: false }];
    connections.add(pairOf(4000, 80), again);
    connections.add(pairOf(4001, 80), other);

    assert.deepEqual([again.doomed, other.doomed], [false, false]);
  });
});

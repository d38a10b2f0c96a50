/** What a table gets from the one before it, when a reload changes what it is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LimitPolicy } from '../../../../src/shared/memory/gcra.ts';
import {
  carryLimits,
  LimitTable,
  limitSpec,
  policyIn,
} from '../../../../src/shared/memory/limit-table.ts';
import {
  carryVerdicts,
  PeerTable,
  peerTableSize,
} from '../../../../src/shared/memory/peer-table.ts';
import { copySeed, createSegment } from '../../../../src/shared/memory/segment.ts';

const NOW = 1_000_000 * 1e9;
const TEN_A_SECOND: LimitPolicy = { count: 10, perMs: 1_000, burst: 20 };

function limit(maxKeys: number, policy: LimitPolicy) {
  const segment = createSegment(limitSpec('test', maxKeys, policy), undefined);
  return { segment, policy, table: () => new LimitTable(segment, policy) };
}

type Limit = ReturnType<typeof limit>;

function carry(from: Limit, to: Limit, nowNs: number): void {
  copySeed(from.segment, to.segment);
  carryLimits(from.segment, from.policy, to.segment, to.policy, nowNs);
}

/** How many requests of the key are still allowed at once. */
function left(of: Limit, key: string, nowNs: number): number {
  const table = of.table();
  let allowed = 0;
  while (table.take(key, nowNs)) allowed += 1;
  return allowed;
}

describe('a limit', () => {
  const others: { name: string; maxKeys: number; policy: LimitPolicy; left: number }[] = [
    { name: 'with room for more keys', maxKeys: 65_536, policy: TEN_A_SECOND, left: 15 },
    { name: 'with room for fewer keys', maxKeys: 1_024, policy: TEN_A_SECOND, left: 15 },
    {
      name: 'with a larger burst',
      maxKeys: 4_096,
      policy: { ...TEN_A_SECOND, burst: 30 },
      left: 25,
    },
    {
      name: 'with a burst below what is owed',
      maxKeys: 4_096,
      policy: { ...TEN_A_SECOND, burst: 3 },
      left: 0,
    },
    {
      name: 'with another rate',
      maxKeys: 4_096,
      policy: { count: 1, perMs: 3_600_000, burst: 20 },
      left: 15,
    },
  ];
  for (const { name, maxKeys, policy, left: expected } of others) {
    test(`${name} knows what keys owe`, () => {
      const before = limit(4_096, TEN_A_SECOND);
      const spent = before.table();
      for (let time = 0; time < 5; time++) assert.ok(spent.take('client', NOW));

      const after = limit(maxKeys, policy);
      carry(before, after, NOW);

      assert.equal(left(after, 'client', NOW), expected);
      assert.equal(left(after, 'another', NOW), policy.burst);
    });
  }

  test('has forgotten what was earned back meanwhile', () => {
    const before = limit(4_096, TEN_A_SECOND);
    const spent = before.table();
    for (let time = 0; time < 5; time++) spent.take('client', NOW);
    const after = limit(4_096, { ...TEN_A_SECOND, burst: 30 });

    carry(before, after, NOW + 200e6);

    assert.equal(left(after, 'client', NOW + 200e6), 27);
  });

  test('knows thousands of keys, as far as they fit', () => {
    const before = limit(8_192, TEN_A_SECOND);
    const spent = before.table();
    for (let key = 0; key < 5_000; key++) spent.take(`client ${key}`, NOW, 20);
    const after = limit(16_384, TEN_A_SECOND);

    carry(before, after, NOW);

    const table = after.table();
    let allowed = 0;
    for (let key = 0; key < 5_000; key++) allowed += table.take(`client ${key}`, NOW) ? 1 : 0;
    // At this load, 16 keys in 10,000 find a full bucket.
    assert.ok(allowed <= 25, `${allowed} of 5000 were forgotten`);
  });

  test('of another layout cannot be read, so its keys begin anew', () => {
    const before = limit(4_096, TEN_A_SECOND);
    const spent = before.table();
    for (let time = 0; time < 5; time++) spent.take('client', NOW);
    const after = limit(4_096, TEN_A_SECOND);

    const older = { ...before.segment, layout: before.segment.layout - 1 };
    carryLimits(older, before.policy, after.segment, after.policy, NOW);

    assert.equal(left(after, 'client', NOW), 20);
  });

  test('says in its segment what it allows', () => {
    assert.deepEqual(policyIn(limit(1_024, TEN_A_SECOND).segment), TEN_A_SECOND);
    assert.equal(policyIn({ name: 'peers', layout: 1, size: 1 }), undefined);
    assert.equal(policyIn({ name: 'metrics', layout: 1, size: 1, contents: '[[],[]]' }), undefined);
  });
});

test('verdicts on peers that stay go over to a new table, and no others', () => {
  const [from, to] = [peers(), peers()];
  copySeed(from, to);
  const before = new PeerTable(from);
  for (const [address, verdict] of [
    ['a:1', 'ill'],
    ['b:1', 'healthy'],
    ['gone:1', 'ill'],
  ] as const)
    before.setVerdict(before.row('api', address), verdict, 42);
  const after = new PeerTable(to);
  const rows = ['a:1', 'b:1', 'new:1'].map((address) => after.row('api', address));

  carryVerdicts(from, to);

  assert.deepEqual(
    rows.map((row) => [after.verdict(row), after.verdictAt(row)]),
    [
      ['ill', 42],
      ['healthy', 42],
      ['unknown', 0],
    ],
  );
});

function peers() {
  return createSegment({ name: 'peers', layout: 1, size: peerTableSize(2) }, undefined);
}

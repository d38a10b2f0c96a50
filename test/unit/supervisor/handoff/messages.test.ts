import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  agree,
  readToPredecessor,
  readToSuccessor,
} from '../../../../src/supervisor/handoff/messages.ts';

describe('two releases', () => {
  const pairs = [
    { theirs: [1, 1], ours: [1, 1], version: 1 },
    { theirs: [1, 3], ours: [1, 2], version: 2 },
    { theirs: [1, 1], ours: [1, 4], version: 1 },
    { theirs: [2, 3], ours: [3, 9], version: 3 },
    { theirs: [1, 1], ours: [2, 3], version: undefined },
    { theirs: [4, 5], ours: [1, 3], version: undefined },
  ] as const;
  const spoken = ([oldest, newest]: readonly [number, number]) => ({ oldest, newest });

  for (const { theirs, ours, version } of pairs) {
    const expected = version === undefined ? 'refuse each other' : `agree on ${version}`;
    test(`that speak ${theirs.join('–')} and ${ours.join('–')} ${expected}`, () => {
      const agreed = agree(spoken(theirs), spoken(ours));
      if (version !== undefined) return assert.equal(agreed, version);
      assert.match(
        (agreed as { reason: string }).reason,
        /speaks version.* of the hand-off and the successor version/,
      );
    });
  }
});

const OFFER = {
  kind: 'offer',
  versions: { oldest: 1, newest: 2 },
  release: '1.2.3',
  pid: 7,
  conf: '/etc/conf.yaml',
  unit: undefined,
  descriptors: 3,
};

describe('messages', () => {
  test('of a newer release may have more in them', () => {
    assert.deepEqual(readToSuccessor({ ...OFFER, colour: 'red' }), OFFER);
    const socket = { kind: 'socket', key: 'a', place: { host: '::1', port: 1, scope: 'x' } };
    const { items } = readToSuccessor({
      kind: 'batch',
      number: 1,
      last: true,
      items: [socket, { kind: 'pipe' }],
    }) as {
      items: unknown;
    } & ReturnType<typeof readToSuccessor>;
    assert.deepEqual(items, [
      { kind: 'socket', key: 'a', place: { host: '::1', port: 1 } },
      { kind: 'unknown' },
    ]);
  });

  const toSuccessor = [
    { message: {}, says: /got the kind undefined/ },
    { message: { kind: 'ready' }, says: /got the kind "ready"/ },
    { message: { ...OFFER, pid: '7' }, says: /pid: expected a whole number, got "7"/ },
    { message: { ...OFFER, pid: 1.5 }, says: /pid: expected a whole number, got 1.5/ },
    { message: { ...OFFER, versions: [1] }, says: /versions: expected an object, got \[1\]/ },
    { message: { ...OFFER, conf: 5 }, says: /conf: expected a text, got 5/ },
    { message: { kind: 'batch', number: 1 }, says: /items: expected a list, got undefined/ },
    { message: { kind: 'batch', number: 1, items: [1] }, says: /items: expected an object, got 1/ },
    {
      message: {
        kind: 'batch',
        number: 1,
        items: [{ kind: 'socket', key: 'a', place: { path: 1 } }],
      },
      says: /path: expected a text, got 1/,
    },
    {
      message: { kind: 'batch', number: 1, items: [{ kind: 'segment', name: 'a', layout: -1 }] },
      says: /layout: expected a whole number, got -1/,
    },
    { message: { kind: 'withdraw' }, says: /reason: expected a text/ },
  ];
  for (const { message, says } of toSuccessor) {
    test(`to the successor: ${JSON.stringify(message).slice(0, 60)} is refused`, () => {
      assert.throws(() => readToSuccessor(message), { name: 'BrokenFrame', message: says });
    });
  }

  const toPredecessor = [
    { message: { kind: 'offer' }, says: /got the kind "offer"/ },
    { message: { kind: 'accept', version: 1, release: '1' }, says: /pid: expected a whole number/ },
    { message: { kind: 'received', number: -1 }, says: /number: expected a whole number, got -1/ },
    { message: { kind: 'refuse', reason: null }, says: /reason: expected a text, got null/ },
  ];
  for (const { message, says } of toPredecessor) {
    test(`to the predecessor: ${JSON.stringify(message).slice(0, 60)} is refused`, () => {
      assert.throws(() => readToPredecessor(message), { name: 'BrokenFrame', message: says });
    });
  }
});

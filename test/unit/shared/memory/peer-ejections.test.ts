import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EJECTION_BYTES, PeerEjections } from '../../../../src/shared/memory/peer-ejections.ts';

const SECOND = 1e9;
const TIMES = { baseNs: 30 * SECOND, maxNs: 100 * SECOND };

function ejections(rows = 4) {
  const buffer = new SharedArrayBuffer(rows * EJECTION_BYTES);
  const open = () => new PeerEjections({ buffer, offset: 0, rows });
  return { ours: open(), theirs: open() };
}

describe('failures in a row', () => {
  test('are counted over all processes, and reach the bound once', () => {
    const { ours, theirs } = ejections();
    const reached = [ours, theirs, ours, theirs, ours, theirs].map((each) =>
      each.lengthen(1, 'failures', 3),
    );
    assert.deepEqual(reached, [false, false, true, false, false, true]);
  });

  test('end with an answer that any process gets', () => {
    const { ours, theirs } = ejections();
    ours.lengthen(1, 'failures', 3);
    ours.lengthen(1, 'failures', 3);
    theirs.endStreak(1, 'failures');
    assert.equal(ours.lengthen(1, 'failures', 3), false);
  });

  test('are one peer’s and of one kind', () => {
    const { ours } = ejections();
    ours.lengthen(1, 'failures', 2);
    assert.equal(ours.lengthen(2, 'failures', 2), false);
    assert.equal(ours.lengthen(1, 'errorStatuses', 2), false);
    assert.equal(ours.lengthen(1, 'failures', 2), true);
  });
});

describe('an ejected peer', () => {
  test('is left alone by all processes until its time is over', () => {
    const { ours, theirs } = ejections();
    assert.equal(ours.isEjected(1, 0), false);
    assert.equal(ours.eject(1, TIMES, 5 * SECOND), 30 * SECOND);
    assert.equal(theirs.isEjected(1, 34 * SECOND), true);
    assert.equal(theirs.isEjected(1, 35 * SECOND), false);
    assert.equal(theirs.isEjected(2, 6 * SECOND), false);
  });

  test('is left alone longer each time, up to a bound', () => {
    const { ours } = ejections();
    const durations = [0, 30, 90, 180].map((at) => ours.eject(1, TIMES, at * SECOND) / SECOND);
    assert.deepEqual(durations, [30, 60, 90, 100]);
  });

  test('is forgiven one ejection for each base time that it then serves', () => {
    const { ours } = ejections();
    ours.eject(1, TIMES, 0);
    ours.eject(1, TIMES, 30 * SECOND); // until 90
    assert.equal(ours.eject(1, TIMES, 121 * SECOND) / SECOND, 60);
    assert.equal(ours.eject(1, TIMES, 1_000 * SECOND) / SECOND, 30);
  });

  test('may be readmitted, with all forgiven', () => {
    const { ours, theirs } = ejections();
    ours.lengthen(1, 'failures', 9);
    ours.eject(1, TIMES, 0);
    theirs.readmit(1);
    assert.equal(ours.isEjected(1, 1), false);
    assert.equal(ours.eject(1, TIMES, 0) / SECOND, 30);
  });

  test('stays so in another table', () => {
    const { ours } = ejections();
    const { ours: other } = ejections();
    ours.eject(1, TIMES, 0);
    other.carry(3, ours, 1);
    assert.equal(other.ejectedUntil(3), 30 * SECOND);
    assert.equal(other.ejectedUntil(1), 0);
  });
});

describe('a drained peer', () => {
  test('stays so whatever probes find, until it is enabled', () => {
    const { ours, theirs } = ejections();
    ours.setDrained(1, true);
    theirs.readmit(1);
    assert.equal(theirs.isDrained(1), true);
    assert.equal(theirs.isDrained(2), false);
    ours.setDrained(1, false);
    assert.equal(theirs.isDrained(1), false);
  });

  test('leaves nothing to the one that gets its row', () => {
    const { ours, theirs } = ejections();
    ours.setDrained(1, true);
    ours.eject(1, TIMES, 0);
    theirs.forget(1);
    assert.equal(ours.isDrained(1), false);
    assert.equal(ours.ejectedUntil(1), 0);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contentOf, firstDifference } from '../../../src/prove/content.ts';
import { inTurns } from '../../../src/prove/interventions.ts';
import { Ledger } from '../../../src/prove/ledger.ts';
import { Loss } from '../../../src/prove/loss.ts';
import { Retirements } from '../../../src/prove/retirements.ts';
import { Sightings } from '../../../src/prove/sightings.ts';

describe('the ledger', () => {
  test('does not close while a request has no end', () => {
    const ledger = new Ledger();
    const account = ledger.account('client');
    account.sent();

    assert.throws(() => ledger.close(() => 0), /1 requests were sent and 0 have ended/);
    account.lost(new Loss('cut', 'gone'));
    assert.equal(ledger.close(() => 0)[0]!.failed, 1);
  });

  test('takes a fault of the proof for nobody’s loss', () => {
    const account = new Ledger().account('client');
    assert.throws(() => account.lost(new TypeError('a bug')), TypeError);
  });

  test('keeps the first losses in full, and counts all of them', () => {
    const ledger = new Ledger();
    const account = ledger.account('client');
    for (let number = 0; number < 1_000; number++) account.notConnected(new Loss('refused', 'no'));

    assert.equal(ledger.close(() => 0)[0]!.refused, 1_000);
    assert.equal(ledger.incidents.length, 100);
  });
});

describe('a stream without an end', () => {
  test('may not be ended while nothing retires its worker', () => {
    const retirements = new Retirements(2_000);
    const before = retirements.begin(1_000);
    before.endedAt = 1_500;

    assert.equal(retirements.earliestEnd(1_600), Number.POSITIVE_INFINITY);
  });

  test('may be ended a grace period after its worker was told to leave, and no earlier', () => {
    const retirements = new Retirements(2_000);
    retirements.begin(1_000).endedAt = 1_500;
    retirements.begin(3_000).endedAt = 3_500;

    assert.equal(retirements.earliestEnd(500), 3_000);
    assert.equal(retirements.earliestEnd(2_000), 5_000);
  });

  test('that began in the middle of it counts from its own beginning', () => {
    const retirements = new Retirements(2_000);
    retirements.begin(1_000);

    assert.equal(retirements.earliestEnd(1_200), 3_200);
  });
});

test('sightings count what was seen before, over any numbers', () => {
  const sightings = new Sightings();
  for (const number of [1, 2, 3, 70_000, 2, 70_000, 70_000, 8]) sightings.add(number);
  assert.equal(sightings.repeated, 3);
});

test('a body shows where it differs: a changed byte, a missing one, another body', () => {
  const body = contentOf(7, 0, 1_000);
  assert.equal(firstDifference(7, 0, body), undefined);
  assert.equal(firstDifference(7, 500, body.subarray(500)), undefined);
  const changed = Buffer.from(body);
  changed[321]! ^= 1;
  assert.equal(firstDifference(7, 0, changed), 321);
  assert.ok(firstDifference(7, 100, body.subarray(101))! < 110);
  assert.ok(firstDifference(8, 0, body)! < 10);
});

test('interventions take turns until each has had as many as it wants', () => {
  assert.deepEqual(
    [...inTurns({ upgrade: 1, reload: 3, kill: 2 })],
    ['upgrade', 'reload', 'kill', 'reload', 'kill', 'reload'],
  );
  assert.deepEqual(
    [...inTurns({ upgrade: 2, reload: 2, kill: 0 })],
    ['upgrade', 'reload', 'reload', 'upgrade'],
  );
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  failures as failureMeanings,
  follow,
  predecessorTable,
  successorTable,
  type Failure,
  type PredecessorEvent,
  type PredecessorState,
  type SuccessorEvent,
  type SuccessorState,
} from '../../../../src/supervisor/handoff/states.ts';

const failures = Object.keys(failureMeanings) as Failure[];

describe('the predecessor', () => {
  test('goes back to serving whatever fails, until it has said that it drains', () => {
    for (const [state, steps] of Object.entries(predecessorTable)) {
      if (state === 'serving' || state === 'draining') continue;
      for (const failure of failures)
        assert.deepEqual(
          steps[failure],
          { to: 'serving', action: 'withdraw' },
          `${failure} while ${state}`,
        );
    }
  });

  test('drains only when the successor owns what it got', () => {
    const ways = Object.entries(predecessorTable).flatMap(([from, steps]) =>
      Object.entries(steps).flatMap(([event, { to }]) =>
        to === 'draining' ? [`${from} ${event}`] : [],
      ),
    );
    assert.deepEqual(ways, ['entrusting owner']);
  });

  test('does what every event of a good hand-off asks for, in order', async () => {
    const events: PredecessorEvent[] = [
      'connected',
      'accepted',
      'batch-received',
      'all-received',
      'ready',
      'owner',
    ];
    const states: PredecessorState[] = [];
    const end = await follow(predecessorTable, 'serving', 'asked', async (_, state) => {
      states.push(state);
      return events.shift();
    });
    assert.equal(end, 'draining');
    assert.deepEqual(states, [
      'connecting',
      'introducing',
      'sending',
      'sending',
      'waiting',
      'entrusting',
      'draining',
    ]);
  });
});

describe('the successor', () => {
  test('gives up whatever fails before it owns, but not because the predecessor died after giving all', () => {
    const states = ['waiting', 'receiving', 'starting', 'ready', 'taking-over'] as const;
    for (const state of states) {
      for (const failure of failures) {
        const step = successorTable[state][failure];
        if (failure !== 'lost') assert.equal(step?.to, 'gave-up', `${failure} while ${state}`);
      }
    }
    assert.equal(successorTable.waiting.lost?.to, 'gave-up');
    assert.equal(successorTable.receiving.lost?.to, 'gave-up');
    assert.equal(successorTable.ready.lost?.to, 'taking-over');
    assert.equal(successorTable['taking-over'].lost?.to, 'owner');
  });

  test('has two ends', () => {
    const ends = Object.entries(successorTable).filter(
      ([, steps]) => Object.keys(steps).length === 0,
    );
    assert.deepEqual(
      ends.map(([state]) => state),
      ['owner', 'gave-up'],
    );
  });

  test('never gets from an event that cannot happen anywhere', async () => {
    const wrong = follow<SuccessorState, SuccessorEvent, string>(
      successorTable,
      'waiting',
      'bye',
      async () => undefined,
    );
    await assert.rejects(wrong, /"bye" cannot happen while waiting/);
  });
});

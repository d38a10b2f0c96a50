import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pulse, type Health, type Signs } from '../../../../src/supervisor/workers/watch.ts';

const LIMITS = { stuckAfterMs: 3_000, maxMemory: 1_000, maxAgeMs: 60_000 };

const WELL: Signs = { beats: 1, residentBytes: 500, livedMs: 10_000 };

const cases: { name: string; looks: Partial<Signs>[]; health: Health }[] = [
  { name: 'that beats', looks: [{ beats: 1 }, { beats: 2 }, { beats: 3 }], health: 'well' },
  { name: 'that has not beaten for two looks', looks: [{}, {}, {}], health: 'well' },
  { name: 'that has not beaten for three', looks: [{}, {}, {}, {}], health: 'stuck' },
  { name: 'that beats again', looks: [{}, {}, {}, { beats: 2 }, { beats: 2 }], health: 'well' },
  { name: 'that is too big', looks: [{ residentBytes: 1_001 }], health: 'big' },
  {
    name: 'that is too big from its start on',
    looks: [{ residentBytes: 1_001, livedMs: 4_999 }],
    health: 'well',
  },
  { name: 'that is too old', looks: [{ livedMs: 60_001 }], health: 'old' },
];

describe('a worker', () => {
  for (const { name, looks, health } of cases) {
    test(`${name} is ${health}`, () => {
      const pulse = new Pulse();
      const found = looks.map((signs) => pulse.look({ ...WELL, ...signs }, LIMITS));
      assert.equal(found.at(-1), health);
    });
  }

  test('without bounds may be as big and as old as it likes', () => {
    const limits = { ...LIMITS, maxMemory: undefined, maxAgeMs: undefined };
    assert.equal(
      new Pulse().look({ beats: 1, residentBytes: 1e12, livedMs: 1e12 }, limits),
      'well',
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultMaxConnections } from '../../../../src/worker/downstream/open-files.ts';

describe('how many connections the limit on open files leaves room for', () => {
  const limits = [
    { openFiles: 1_024, connections: 384 },
    { openFiles: 65_536, connections: 32_640 },
    { openFiles: 300, connections: 64 },
    { openFiles: 0, connections: 64 },
  ];
  for (const { openFiles, connections } of limits) {
    test(`${openFiles} files: ${connections} connections, and as many to peers`, () => {
      assert.equal(defaultMaxConnections(openFiles), connections);
      assert.ok(2 * connections < openFiles || connections === 64);
    });
  }

  test('it is read from the system unless it is given', () => {
    assert.ok(defaultMaxConnections() >= 64);
    assert.ok(Number.isSafeInteger(defaultMaxConnections()));
  });
});

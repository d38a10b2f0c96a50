import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasNoBody } from '../../../../src/worker/http/status.ts';

test('1xx, 204 and 304 have no body, and all others may have one', () => {
  const bodiless = Array.from({ length: 500 }, (_, at) => at + 100).filter(hasNoBody);
  const interim = Array.from({ length: 100 }, (_, at) => at + 100);
  assert.deepEqual(bodiless, [...interim, 204, 304]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainSystemError } from '../../../src/shared/open-files.ts';

const failure = (code: string) => ({ name: 'Error', code, message: `spawn node ${code}` });

test('whoever is out of open files is told which limit to raise', () => {
  assert.match(explainSystemError(failure('EMFILE')), /^spawn node EMFILE; raise .*ulimit -n/);
  assert.match(explainSystemError(failure('ENFILE')), /^spawn node ENFILE; raise .*fs\.file-max/);
  assert.equal(explainSystemError(failure('ENOENT')), 'spawn node ENOENT');
});

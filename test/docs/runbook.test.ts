/** The runbook quotes what is logged: each of its quotations stands in the code. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const RUNBOOK = 'docs/guide/upgrade-did-not-happen.md';

/** Without what only the layout of the code puts between the words of a sentence. */
const code = globSync('src/supervisor/**/*.ts', { cwd: ROOT })
  .map((path) => readFileSync(`${ROOT}${path}`, 'utf8'))
  .join('\n');

test('every line that the runbook looks for is one that the supervisor writes', () => {
  const text = readFileSync(`${ROOT}${RUNBOOK}`, 'utf8');
  const quoted = text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((row) => [...row.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map(([, line]) => line!));
  const inProse = [
    ...text.matchAll(/`([^`\n]*(?:; serving on|has changed|serves on|; draining|without it))`/g),
  ].map(([, line]) => line!);
  assert.ok(quoted.length > 20);
  assert.equal(inProse.length, 5);

  const missing = [...quoted, ...inProse].filter((line) =>
    line.split('…').some((part) => !code.includes(part.trim())),
  );
  assert.deepEqual(missing, []);
});

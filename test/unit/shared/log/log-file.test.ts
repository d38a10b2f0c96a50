import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openLogFile } from '../../../../src/shared/log/log-file.ts';
import { temporaryFile } from '../../../support/index.ts';

const NOBODY = 65_534;
const asRoot = { skip: process.geteuid?.() !== 0 && 'only root follows no links' };

function folderOf(t: TestContext): string {
  return dirname(temporaryFile(t, 'x', ''));
}

/** Opens, writes a word, closes. */
function append(path: string): void {
  const fd = openLogFile(path);
  writeSync(fd, 'word ');
  closeSync(fd);
}

describe('a log file', () => {
  test('is made if there is none, and appended to if there is', (t) => {
    const path = join(folderOf(t), 'error.log');
    append(path);
    append(path);

    assert.equal(readFileSync(path, 'utf8'), 'word word ');
  });

  test('is found through links of root’s, relative ones and those of folders', asRoot, (t) => {
    const folder = folderOf(t);
    mkdirSync(join(folder, 'disk'));
    symlinkSync('disk', join(folder, 'logs'));
    symlinkSync('../disk/today.log', join(folder, 'disk/error.log'));
    append(join(folder, 'logs/error.log'));

    assert.equal(readFileSync(join(folder, 'disk/today.log'), 'utf8'), 'word ');
  });

  test('can be an open file, as /dev/stderr is', asRoot, (t) => {
    const path = temporaryFile(t, 'output', '');
    const output = openSync(path, 'w');
    symlinkSync(`/proc/self/fd/${output}`, `${path}.log`);
    append(`${path}.log`);
    closeSync(output);

    assert.equal(readFileSync(path, 'utf8'), 'word ');
  });

  for (const { name, link, log } of [
    { name: 'a link', link: 'error.log', log: 'error.log' },
    { name: 'a folder that is a link', link: 'logs', log: 'logs/error.log' },
  ]) {
    test(`is not found by root through ${name} of somebody else’s`, asRoot, (t) => {
      const folder = folderOf(t);
      const victim = folderOf(t);
      symlinkSync(link === log ? join(victim, 'error.log') : victim, join(folder, link));
      lchownSync(join(folder, link), NOBODY, NOBODY);

      assert.throws(() => openLogFile(join(folder, log)), {
        message: `${join(folder, link)} is a symbolic link of user ${NOBODY}, and root follows only its own; name the file itself, or remove the link`,
      });
      assert.ok(!existsSync(join(victim, 'error.log')));
    });
  }

  test('is not looked for for ever', asRoot, (t) => {
    const path = join(folderOf(t), 'error.log');
    symlinkSync(path, path);

    assert.throws(() => openLogFile(path), /more than 40 symbolic links/);
  });
});

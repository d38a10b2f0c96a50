import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import { removePidFile, writePidFile } from '../../../src/supervisor/pid-file.ts';
import { temporaryFile } from '../../support/index.ts';

/** Of a process that was and is no more. */
const { pid: deadPid } = spawnSync(process.execPath, ['--version']);

describe('the pid file', () => {
  test('holds our process id, readable by everybody, and leaves no draft behind', (t) => {
    const path = temporaryFile(t, 'sluice.pid', '');
    writePidFile(path);

    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    assert.equal(statSync(path).mode & 0o444, 0o444);
    assert.deepEqual(readdirSync(dirname(path)), ['sluice.pid']);
  });

  const stale = [
    { name: 'a process that has died', content: `${deadPid}\n` },
    { name: 'this process', content: String(process.pid) },
    { name: 'nothing', content: '' },
    { name: 'no process at all', content: 'not a number\n' },
    { name: 'every process of a group, to a careless kill', content: '0\n' },
    { name: 'a negative number', content: '-1\n' },
  ];
  for (const { name, content } of stale) {
    test(`is taken over if it names ${name}`, (t) => {
      const path = temporaryFile(t, 'sluice.pid', content);
      writePidFile(path);

      assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    });
  }

  test('is left alone if it names another process that runs', (t) => {
    const path = temporaryFile(t, 'sluice.pid', `${process.ppid}\n`);

    assert.throws(() => writePidFile(path), {
      name: 'StartupError',
      message: `pid_file ${path} belongs to process ${process.ppid}, which is running; stop it, or name another file`,
    });
    assert.equal(readFileSync(path, 'utf8'), `${process.ppid}\n`);
  });

  test('that cannot be written is an error that says why', () => {
    assert.throws(() => writePidFile('/nowhere/sluice.pid'), {
      name: 'StartupError',
      message: /^cannot write pid_file \/nowhere\/sluice\.pid: ENOENT/,
    });
  });

  test('is removed at the end', (t) => {
    const path = temporaryFile(t, 'sluice.pid', '');
    writePidFile(path);
    removePidFile(path);

    assert.ok(!existsSync(path));
    removePidFile(path); // gone already: nothing to say
  });

  test('is not removed once a successor has taken it over', (t) => {
    const path = temporaryFile(t, 'sluice.pid', '');
    writePidFile(path);
    writeFileSync(path, `${process.ppid}\n`);

    removePidFile(path);

    assert.ok(existsSync(path));
  });
});

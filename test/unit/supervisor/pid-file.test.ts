import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { removePidFile, takeOverPidFile, writePidFile } from '../../../src/supervisor/pid-file.ts';
import { temporaryFile } from '../../support/index.ts';

/** Of a process that was and is no more. */
const { pid: deadPid } = spawnSync(process.execPath, ['--version']);

const asRoot = { skip: process.geteuid?.() !== 0 && 'only root follows no links' };

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
      message: `pid_file ${path} belongs to process ${process.ppid}, which is running; stop it, or name another file, or remove the file if that process is no Sluice`,
    });
    assert.equal(readFileSync(path, 'utf8'), `${process.ppid}\n`);
  });

  test('is left alone if it names a process that runs, whatever the wall clock said then', (t) => {
    const path = temporaryFile(t, 'sluice.pid', `${process.ppid}\n`);
    for (const year of ['2010', '2099']) {
      utimesSync(path, new Date(year), new Date(year));
      assert.throws(() => writePidFile(path), /belongs to process/, year);
    }
  });

  test('is dated by the start of its process, from the boot on', (t) => {
    const path = temporaryFile(t, 'sluice.pid', '');
    writePidFile(path);
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [, ticks] = /\) (?:\S+ ){19}(\d+) /.exec(stat)!;

    assert.equal(Math.round(statSync(path).mtimeMs / 10), Number(ticks));
  });

  test('is taken over if its process was started at another time: another program has the number now', (t) => {
    const path = temporaryFile(t, 'sluice.pid', `${process.ppid}\n`);
    utimesSync(path, 1, 1);

    writePidFile(path);

    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    assert.deepEqual(readdirSync(dirname(path)), ['sluice.pid']);
  });

  test('goes to one of many that want it at the same time', async (t) => {
    const path = temporaryFile(t, 'sluice.pid', `${deadPid}\n`);
    const claim = `
      const { writePidFile } = await import(${JSON.stringify(import.meta.resolve('../../../src/supervisor/pid-file.ts'))});
      try {
        writePidFile(${JSON.stringify(path)});
        process.stdout.write('mine\\n');
        process.stdin.resume();
      } catch (thrown) {
        process.stdout.write(thrown.name + '\\n');
      }`;
    const claims = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', claim], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    const said = await Promise.all(
      claims.map(async ({ stdout }) => {
        const [line] = (await once(stdout, 'data')) as [Buffer];
        return line.toString().trim();
      }),
    );
    for (const { stdin } of claims) stdin.end();

    assert.deepEqual(said.toSorted(), [
      'StartupError',
      'StartupError',
      'StartupError',
      'StartupError',
      'StartupError',
      'mine',
    ]);
    const owner = claims[said.indexOf('mine')]!;
    assert.equal(readFileSync(path, 'utf8'), `${owner.pid}\n`);
  });

  test('is taken from a predecessor at an upgrade, but not from a third process', (t) => {
    const path = temporaryFile(t, 'sluice.pid', `${process.ppid}\n`);
    assert.throws(() => takeOverPidFile(path, deadPid), /belongs to process/);

    takeOverPidFile(path, process.ppid);

    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    assert.deepEqual(readdirSync(dirname(path)), ['sluice.pid']);
  });

  test('is not written by root through a folder that is somebody else’s link', asRoot, (t) => {
    const victim = dirname(temporaryFile(t, 'x', ''));
    const run = join(dirname(temporaryFile(t, 'x', '')), 'run');
    symlinkSync(victim, run);
    writePidFile(join(run, 'sluice.pid'));
    assert.equal(readFileSync(join(victim, 'sluice.pid'), 'utf8'), `${process.pid}\n`);

    lchownSync(run, 65_534, 65_534);
    const write = () => writePidFile(join(run, 'other.pid'));
    assert.throws(write, /cannot write pid_file .* is a symbolic link of user 65534, and root/);
    assert.deepEqual(readdirSync(victim).toSorted(), ['sluice.pid', 'x']);
  });

  test('is not written through a link that somebody has put in the way', (t) => {
    const path = temporaryFile(t, 'sluice.pid', '');
    const precious = join(dirname(path), 'precious');
    writeFileSync(precious, 'precious');
    symlinkSync(precious, `${path}.${process.pid}`);

    writePidFile(path);

    assert.equal(readFileSync(precious, 'utf8'), 'precious');
    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    assert.deepEqual(readdirSync(dirname(path)), ['precious', 'sluice.pid']);
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

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';
import { createLog, type Level } from '../../../../src/shared/log/log.ts';
import { temporaryFile } from '../../../support/index.ts';

type Line = Record<string, unknown>;

describe('the process log', () => {
  test('is one JSON object per line, with time, level, process and fields', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });

    log.warn({ peer: 'api-1', attempt: 2 }, 'trying another peer');

    const [line] = linesOf(path);
    assert.match(String(line!['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(
      { ...line, time: 0 },
      {
        level: 'warn',
        time: 0,
        pid: process.pid,
        process: 'worker',
        peer: 'api-1',
        attempt: 2,
        msg: 'trying another peer',
      },
    );
  });

  const levels: Level[] = ['trace', 'debug', 'info', 'warn', 'error'];
  for (const [at, level] of levels.entries()) {
    test(`at ${level} leaves out what is less`, (t) => {
      const path = temporaryFile(t, 'error.log', '');
      const log = createLog({ level, destination: path, name: 'supervisor' });
      for (const each of levels) log[each]({}, each);

      assert.deepEqual(
        linesOf(path).map(({ msg }) => msg),
        levels.slice(at),
      );
    });
  }

  test('adds the fields of a child to its lines alone', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });
    log.child({ requestId: 'r-1' }).child({ peer: 'p' }).info({ attempt: 1 }, 'a');
    log.info({}, 'b');

    const [first, second] = linesOf(path);
    assert.deepEqual([first!['requestId'], first!['peer'], first!['attempt']], ['r-1', 'p', 1]);
    assert.equal(second!['requestId'], undefined);
  });

  test('shows an error with its message, code, stack and cause', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });
    log.error({ err: Object.assign(new Error('refused'), { code: 'upstream/closed' }) }, 'failed');

    const err = linesOf(path)[0]!['err'] as Line;
    assert.deepEqual([err['message'], err['code']], ['refused', 'upstream/closed']);
    assert.match(String(err['stack']), /log\.test\.ts/);
  });

  test('says what causes add to an error, and says it once', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });
    const system = new Error('connect ECONNREFUSED');
    const err = new Error('10.0.0.1:80: connect ECONNREFUSED', { cause: system });
    log.error({ err: new Error('no connection', { cause: err }) }, 'failed');
    const circle = new Error('round and round');
    circle.cause = circle;
    log.error({ err: circle }, 'failed');

    const [first, second] = linesOf(path).map((line) => line['err'] as Line);
    assert.equal(first!['message'], 'no connection: 10.0.0.1:80: connect ECONNREFUSED');
    assert.match(
      String(first!['stack']),
      /\ncaused by: Error: 10\.0\.0\.1[^]*\ncaused by: Error: co/,
    );
    assert.equal(second!['message'], 'round and round');
  });

  test('shows no stack of what others did wrong', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });
    log.warn({ err: new ProxyError('upstream/closed', '10.0.0.1:80 closed') }, 'failed');
    log.error({ err: new ProxyError('internal/filter-threw', 'mine') }, 'failed');

    const [theirs, ours] = linesOf(path).map((line) => line['err'] as Line);
    assert.deepEqual(theirs, {
      type: 'ProxyError',
      message: 'upstream/closed: 10.0.0.1:80 closed',
      code: 'upstream/closed',
    });
    assert.match(String(ours!['stack']), /log\.test\.ts/);
  });

  const secrets = [
    'authorization',
    'cookie',
    'set-cookie',
    'x-api-key',
    'password',
    'token',
    'keys',
  ];
  for (const name of secrets) {
    test(`never shows the value of ${name}, at the top, one level down, or in a child`, (t) => {
      const path = temporaryFile(t, 'error.log', '');
      const log = createLog({ level: 'info', destination: path, name: 'worker' });
      log.info({ [name]: 'hunter2', headers: { [name]: 'hunter2', other: 'shown' } }, 'a');
      log.child({ [name]: 'hunter2' }).info({}, 'b');

      const text = readFileSync(path, 'utf8');
      assert.doesNotMatch(text, /hunter2/);
      assert.match(text, /shown/);
    });
  }

  test('loses nothing when its file is renamed and opened anew', (t) => {
    const path = temporaryFile(t, 'error.log', '');
    const log = createLog({ level: 'info', destination: path, name: 'worker' });
    log.info({}, 'one');
    renameSync(path, `${path}.1`);
    log.info({}, 'two');

    log.reopen();
    log.info({}, 'three');
    log.flush();

    const messages = (file: string) => linesOf(file).map(({ msg }) => msg);
    assert.deepEqual([messages(`${path}.1`), messages(path)], [['one', 'two'], ['three']]);
  });

  test('appends to what is there', (t) => {
    const path = temporaryFile(t, 'error.log', '{"msg":"from before"}\n');
    createLog({ level: 'info', destination: path, name: 'worker' }).info({}, 'new');

    assert.deepEqual(
      linesOf(path).map(({ msg }) => msg),
      ['from before', 'new'],
    );
  });

  test('does not throw when the disk is full', () => {
    const log = createLog({ level: 'info', destination: '/dev/full', name: 'worker' });
    for (let nth = 0; nth < 1_000; nth++) log.info({ nth }, 'x'.repeat(1_000));
    log.flush();
  });

  test('that cannot be written says which file and why, at the start', (t) => {
    const folder = join(dirname(temporaryFile(t, 'x', '')), 'folder');
    mkdirSync(folder);
    const open = (destination: string) => () =>
      createLog({ level: 'info', destination, name: 'worker' });

    assert.throws(
      open('/nowhere/error.log'),
      /^Error: cannot write error_log \/nowhere\/error\.log: ENOENT/,
    );
    assert.throws(open(folder), /cannot write error_log .*folder: EISDIR/);
  });
});

function linesOf(path: string): Line[] {
  const text = readFileSync(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

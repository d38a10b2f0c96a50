import assert from 'node:assert/strict';
import fs, { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';
import {
  openAccessLog,
  type AccessEntry,
  type AccessLog,
} from '../../../../src/worker/observe/access-log.ts';
import { temporaryFile } from '../../../support/index.ts';

const ENTRY: AccessEntry = {
  time: Date.UTC(2026, 2, 1, 12, 0, 0, 7),
  service: 'edge',
  client: '192.0.2.1',
  method: 'GET',
  target: '/a?b=c',
  version: '1.1',
  status: 200,
  bytesSent: 5,
  bytesReceived: 0,
  durationMs: 1.23456,
  upstream: '10.0.0.1:8080',
  error: undefined,
  requestId: 'r-1',
  subrequestOf: undefined,
};

describe('a line of the access log', () => {
  test('has every field under its name, to the letter', async (t) => {
    const { path, log } = fileLog(t);
    log.write(ENTRY);
    await log.close();

    assert.equal(
      readFileSync(path, 'utf8'),
      '{"time":"2026-03-01T12:00:00.007Z","service":"edge","client":"192.0.2.1","method":"GET",' +
        '"target":"/a?b=c","version":"1.1","status":200,"bytes_sent":5,"bytes_received":0,' +
        '"duration_us":1235,"upstream":"10.0.0.1:8080","request_id":"r-1"}\n',
    );
  });

  test('names the error, and no upstream if none was asked', async (t) => {
    const { path, log } = fileLog(t);
    const error = new ProxyError('upstream/none-healthy', `all "2" are ill${'!'.repeat(1_000)}`);
    log.write({ ...ENTRY, status: 503, upstream: undefined, error });
    await log.close();

    const [line] = linesOf(path);
    assert.equal(line!['error'], 'upstream/none-healthy');
    assert.match(String(line!['detail']), /^all "2" are ill!{200,256}$/);
    assert.ok(!('upstream' in line!));
  });

  test('goes on in the old file if the new one cannot be opened', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    t.after(() => rmSync(`${folder}.moved`, { recursive: true, force: true }));
    const failures: string[] = [];
    const log = openAccessLog(join(folder, 'access.log'), {
      onDropped: nothingDropped,
      onReopenFailed: ({ message }) => failures.push(message),
    });
    renameSync(folder, `${folder}.moved`);

    log.reopen();
    log.write(ENTRY);
    await log.close();

    assert.match(failures.join(), /cannot write access_log .*ENOENT/);
    assert.equal(linesOf(join(`${folder}.moved`, 'access.log')).length, 1);
  });

  const texts = ['"', '\\', '\n', '\0', '\x7f', 'é', '\u2028', '漢', '"}\n{"status":200', '%22'];
  for (const text of texts) {
    test(`stays one line of JSON with ${JSON.stringify(text)} in it`, async (t) => {
      const { path, log } = fileLog(t);
      log.write({ ...ENTRY, target: `/${text}`, method: text, service: text, upstream: text });
      await log.close();

      const bytes = readFileSync(path, 'latin1');
      assert.match(bytes, /^[ -~]+\n$/, 'ASCII, one line');
      const { target, method, service, upstream } = JSON.parse(bytes) as Record<string, unknown>;
      assert.deepEqual([target, method, service, upstream], [`/${text}`, text, text, text]);
    });
  }

  test('tells the time right when the second changes, and when it goes back', async (t) => {
    const { path, log } = fileLog(t);
    const times = [999, 1_000, 1_001, 999, 1_700_000_000_123];
    for (const time of times) log.write({ ...ENTRY, time });
    await log.close();

    assert.deepEqual(
      linesOf(path).map(({ time }) => Date.parse(String(time))),
      times,
    );
  });
});

describe('the access log', () => {
  test('goes to a pipe in whole lines of at most 4,096 bytes together', async (t) => {
    const pieces: string[] = [];
    fakeWrite(t, (fd, bytes, done) => {
      assert.equal(fd, 1);
      pieces.push(bytes.toString('latin1'));
      setImmediate(() => done(null, bytes.length));
    });
    const log = openAccessLog('stdout', { onDropped: nothingDropped, onReopenFailed });
    for (let nth = 0; nth < 100; nth++) log.write({ ...ENTRY, requestId: `r-${nth}` });
    log.write({ ...ENTRY, target: `/${'x'.repeat(6_000)}` });
    log.write({ ...ENTRY, requestId: 'last' });
    await log.close();

    assert.equal(pieces.join('').split('\n').length - 1, 102);
    for (const piece of pieces) {
      assert.ok(piece.endsWith('}\n'), 'whole lines');
      const isLongLineAlone = piece.split('\n').length === 2;
      assert.ok(piece.length <= 4_096 || isLongLineAlone, `${piece.length} bytes`);
    }
  });

  test('writes lines that come close together at once, and keeps none back', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
    const writes = watchWrites(t);
    const { log } = fileLog(t);
    for (let nth = 0; nth < 100; nth++) log.write(ENTRY);
    assert.equal(writes.length, 0);

    t.mock.timers.tick(100);
    assert.equal(writes.length, 1);
    assert.equal(writes[0]!.split('\n').length - 1, 100);
    await log.close();
  });

  test('loses nothing when its file is renamed and opened anew', async (t) => {
    const { path, log } = fileLog(t);
    for (let nth = 0; nth < 50; nth++) log.write({ ...ENTRY, requestId: `old-${nth}` });
    renameSync(path, `${path}.1`);
    log.reopen();
    log.reopen();
    for (let nth = 0; nth < 50; nth++) log.write({ ...ENTRY, requestId: `new-${nth}` });
    await log.close();

    const ids = [...linesOf(`${path}.1`), ...linesOf(path)].map((line) => line['request_id']);
    assert.equal(new Set(ids).size, 100);
    assert.equal(ids.length, 100);
  });

  test('closes the files it opened before', async (t) => {
    const closes = watchCloses(t);
    const { log } = fileLog(t);
    log.write(ENTRY);
    for (let nth = 0; nth < 5; nth++) log.reopen();
    await log.close();

    assert.equal(closes.length, 6);
  });

  test('tries again when the pipe is full, and when only a part was taken', async (t) => {
    const { path, log } = fileLog(t);
    let nth = 0;
    fakeWrite(t, (fd, bytes, done) => {
      nth += 1;
      if (nth === 1) return done(Object.assign(new Error('full'), { code: 'EAGAIN' }), 0);
      done(null, fs.writeSync(fd, bytes.subarray(0, nth === 2 ? 10 : bytes.length)));
    });
    log.write(ENTRY);
    await log.close();

    assert.equal(linesOf(path).length, 1);
    assert.equal(nth, 3);
  });

  test('counts the lines that a full disk does not take, and tells once', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const dropped: number[] = [];
    const log = openAccessLog('/dev/full', {
      onDropped: (lines) => dropped.push(lines),
      onReopenFailed,
    });
    for (let nth = 0; nth < 30; nth++) log.write(ENTRY);
    await log.close();

    t.mock.timers.tick(1_000);
    assert.deepEqual(dropped, [30]);
  });

  test('keeps a bounded number of bytes for a reader that is stuck', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const dropped: number[] = [];
    let release: (() => void) | undefined;
    fakeWrite(t, (_fd, bytes, done) => {
      release = () => done(null, bytes.length);
    });
    const { log } = fileLog(t, (lines) => dropped.push(lines));
    const target = `/${'x'.repeat(4_096)}`;
    const lines = 1_000;
    for (let nth = 0; nth < lines; nth++) log.write({ ...ENTRY, target });
    const closed = log.close();

    t.mock.timers.tick(1_000);
    // Some 4.3 KB a line: 1 MiB holds about 240.
    assert.ok(dropped[0]! > lines - 250 && dropped[0]! < lines - 230, `${dropped[0]} dropped`);

    let isClosed = false;
    void closed.then(() => {
      isClosed = true;
    });
    while (!isClosed) {
      release!();
      await Promise.resolve();
    }
  });

  test('that is off writes nothing', async () => {
    const log = openAccessLog('off', { onDropped: nothingDropped, onReopenFailed });
    log.write(ENTRY);
    log.reopen();
    await log.close();
  });

  test('that cannot be opened says which file and why', () => {
    assert.throws(
      () => openAccessLog('/nowhere/access.log', { onDropped: nothingDropped, onReopenFailed }),
      /^Error: cannot write access_log \/nowhere\/access\.log: ENOENT/,
    );
  });
});

function fileLog(
  t: TestContext,
  onDropped: (lines: number) => void = nothingDropped,
): { path: string; log: AccessLog } {
  const path = temporaryFile(t, 'access.log', '');
  return { path, log: openAccessLog(path, { onDropped, onReopenFailed }) };
}

function nothingDropped(lines: number): void {
  assert.fail(`${lines} lines dropped`);
}

function linesOf(path: string): Record<string, unknown>[] {
  const text = readFileSync(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

type Done = (error: NodeJS.ErrnoException | null, written: number) => void;

/** In place of the disk's. */
function fakeWrite(t: TestContext, write: (fd: number, bytes: Buffer, done: Done) => void): void {
  replace(t, 'write', write);
}

/** What was written, piece by piece. */
function watchWrites(t: TestContext): string[] {
  const pieces: string[] = [];
  const { write } = fs;
  replace(t, 'write', (fd: number, bytes: Buffer, done: Done) => {
    pieces.push(bytes.toString('latin1'));
    write(fd, bytes, done);
  });
  return pieces;
}

function watchCloses(t: TestContext): number[] {
  const closed: number[] = [];
  const { closeSync } = fs;
  replace(t, 'closeSync', (fd: number) => {
    closed.push(fd);
    closeSync(fd);
  });
  return closed;
}

/** Named imports of `node:fs` see the replacement too. */
function replace(
  t: TestContext,
  name: 'write' | 'closeSync',
  by: (...args: never[]) => void,
): void {
  const { mock } = t.mock.method(fs, name, by as never);
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
}

function onReopenFailed(error: Error): void {
  throw error;
}

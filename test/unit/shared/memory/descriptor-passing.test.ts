import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import { temporaryFile } from '../../../support/index.ts';

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

describe('descriptor passing', { skip }, () => {
  if ('unavailable' in libc) return;

  /** @returns two connected sockets that end with the test */
  const pair = (t: { after(fn: () => void): void }) => {
    const [left, right] = libc.socketPair();
    t.after(() => [left, right].forEach((fd) => libc.close(fd)));
    return { left, right };
  };
  const arrived = (fd: number) => {
    const got = libc.receiveBytes(fd);
    assert.ok(typeof got === 'object', 'something has arrived');
    return got;
  };

  test('a descriptor that is sent opens the same file, under a number of its own', (t) => {
    const { left, right } = pair(t);
    const path = temporaryFile(t, 'text', 'what it says');
    const file = openSync(path, 'r');

    assert.equal(libc.sendBytes(left, Buffer.from('here'), [file]), 4);
    closeSync(file);
    const { bytes, descriptors } = arrived(right);

    assert.equal(bytes.toString(), 'here');
    assert.equal(descriptors.length, 1);
    const content = Buffer.alloc(20);
    const length = readSync(descriptors[0]!, content);
    assert.equal(content.toString('utf8', 0, length), 'what it says');
    closeSync(descriptors[0]!);
  });

  test('as many as the kernel takes arrive, in order', (t) => {
    const { left, right } = pair(t);
    const files = Array.from({ length: 253 }, () => libc.createMemory('x', 8));
    libc.sendBytes(left, Buffer.from('x'), files);
    const { descriptors } = arrived(right);

    assert.deepEqual(
      descriptors.map((fd) => fstatSync(fd).ino),
      files.map((fd) => fstatSync(fd).ino),
    );
    for (const fd of [...descriptors, ...files]) libc.close(fd);
    assert.throws(() => libc.sendBytes(left, Buffer.from('x'), [...files, 1]), /at most 253/);
  });

  test('nothing there, nobody there any more and bytes alone are three things', (t) => {
    const [left, right] = libc.socketPair();
    t.after(() => libc.close(right));

    assert.equal(libc.receiveBytes(right), 'nothing');
    libc.sendBytes(left, Buffer.from('only bytes'), []);
    assert.deepEqual(arrived(right), { bytes: Buffer.from('only bytes'), descriptors: [] });
    libc.close(left);
    assert.equal(libc.receiveBytes(right), 'end');
    assert.throws(() => libc.sendBytes(right, Buffer.from('x'), []), { code: 'EPIPE' });
  });

  test('a full socket takes what it can and says how much', (t) => {
    const { left, right } = pair(t);
    const bytes = Buffer.alloc(100_000, 'a');
    let sent = 0;
    for (let taken = -1; taken !== 0; sent += taken) taken = libc.sendBytes(left, bytes, []);

    let received = 0;
    for (;;) {
      const got = libc.receiveBytes(right);
      if (typeof got === 'string') break;
      received += got.bytes.length;
    }
    assert.ok(sent > 0);
    assert.equal(received, sent);
  });

  test('a received descriptor is not inherited by programs that are started', (t) => {
    const { left, right } = pair(t);
    libc.sendBytes(left, Buffer.from('x'), [1]);
    const [fd] = arrived(right).descriptors;
    const closed = closesOnExec(fd!);
    libc.close(fd!);
    assert.ok(closed);
  });

  test('the other side is known by process and user', (t) => {
    const { left } = pair(t);
    const { pid, uid, gid } = libc.peerCredentials(left);
    assert.deepEqual(
      { pid, uid, gid },
      { pid: process.pid, uid: process.geteuid!(), gid: process.getegid!() },
    );
  });

  test('a Unix socket is connected to, accepted on, and refuses where nobody is', (t) => {
    const path = join(temporaryFile(t, 'x', ''), '../socket');
    assert.throws(() => libc.connectUnix(path), { code: 'ENOENT' });
    const listener = libc.boundUnixSocket(path, 0o600);
    libc.listen(listener, 1);
    assert.equal(libc.acceptUnix(listener), undefined);

    const client = libc.connectUnix(path);
    const accepted = libc.acceptUnix(listener);
    assert.ok(accepted !== undefined);
    libc.sendBytes(client, Buffer.from('hello'), []);
    assert.equal(arrived(accepted).bytes.toString(), 'hello');

    for (const fd of [client, accepted, listener]) libc.close(fd);
    assert.throws(() => libc.connectUnix(path), { code: 'ECONNREFUSED' });
  });

  test('what does not fit under the limit on open files is an error, and nothing stays open', () => {
    const program = fileURLToPath(new URL('programs/too-many-files.ts', import.meta.url));
    const command = ['-c', 'ulimit -n 100 && exec "$0" "$@"', process.execPath, program];
    const { status, stdout, stderr } = spawnSync('sh', command, { encoding: 'utf8' });

    assert.equal(status, 0, stderr);
    const { problem, before, after } = JSON.parse(stdout) as Record<string, unknown>;
    assert.equal(problem, 'descriptors were lost on the way (MSG_CTRUNC)');
    assert.deepEqual(after, before);
  });
});

function closesOnExec(fd: number): boolean {
  const [, flags = ''] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!;
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
}

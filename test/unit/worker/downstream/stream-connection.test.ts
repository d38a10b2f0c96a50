import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import { machineTime } from '../../../../src/shared/time/time.ts';
import { StreamConnection } from '../../../../src/worker/downstream/stream-connection.ts';
import { ScriptedTransport } from '../../../support/scripted-transport.ts';

const IDLE_MS = 1_000;

function connected({ allowHalfOpen = false } = {}) {
  const transport = new ScriptedTransport();
  const deadlines = new Deadlines(machineTime);
  const ends: (Error | undefined)[] = [];
  const stream = new StreamConnection(transport, {
    deadlines,
    idleMs: IDLE_MS,
    allowHalfOpen,
    onClosed: (error) => ends.push(error),
  });
  const says = (text: string) => {
    const bytes = Buffer.from(`before ${text} behind`);
    stream.onBytes(bytes, 'before '.length, bytes.length - ' behind'.length);
    bytes.fill('?');
  };
  return { transport, deadlines, stream, ends, says };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a connection as a stream', () => {
  test('keeps what has arrived until somebody reads it, and asks for no more than it can keep', async () => {
    const { stream, transport, says } = connected();
    says('hello');
    while (!transport.isPaused) says('x'.repeat(10_000));
    assert.equal(String(stream.read(5)), 'hello');

    stream.resume();
    await turn();
    assert.equal(transport.isPaused, false);
  });

  test('can be read to its end after the connection is gone', async () => {
    const { stream, transport, ends, says } = connected();
    says('the last words');
    stream.onEnd();
    stream.end();
    await turn();
    stream.onClosed(undefined);
    assert.equal(stream.destroyed, false);

    const closed = once(stream, 'close');
    assert.equal(String(stream.read()), 'the last words');
    stream.resume();
    await closed;
    assert.deepEqual([ends, transport.isReset], [[undefined], false]);
  });

  test('is not cut short when both sides have ended: what was written is still on its way', async () => {
    const { stream, transport } = connected();
    stream.resume();
    stream.onEnd();
    stream.end('goodbye');
    await once(stream, 'finish');
    await turn();

    assert.deepEqual([transport.written, transport.isEnded], ['goodbye', true]);
    assert.equal(transport.isDestroyed, false);
    const closed = once(stream, 'close');
    stream.onClosed(undefined);
    await closed;
  });

  for (const allowHalfOpen of [false, true]) {
    test(`ends our side with the client's: ${!allowHalfOpen}, if half-open is ${allowHalfOpen}`, async () => {
      const { stream, transport } = connected({ allowHalfOpen });
      stream.resume();
      stream.onEnd();
      await once(stream, 'end');
      await turn();

      assert.equal(transport.isEnded, !allowHalfOpen);
    });
  }

  test('lets a write wait until the kernel has room', async () => {
    const { stream, transport } = connected();
    transport.hasRoom = false;
    let isWritten = false;
    stream.write('large', () => {
      isWritten = true;
    });
    await turn();
    assert.equal(isWritten, false);

    stream.onWritable();
    await turn();
    assert.equal(isWritten, true);
  });

  test('that breaks closes without an error event, and tells a write that waits', async () => {
    const { stream, transport, ends } = connected();
    transport.hasRoom = false;
    const failed = new Promise<Error | null | undefined>((resolve) => {
      stream.write('large', resolve);
    });
    stream.on('error', (error) => assert.fail(error));
    const broken = new Error('reset');
    const closed = once(stream, 'close');
    stream.onClosed(broken);

    assert.equal(await failed, broken);
    await closed;
    assert.deepEqual([stream.destroyed, ends], [true, [broken]]);
  });

  test('is closed when nothing moves, and reset if that cuts what was written', () => {
    const quiet = connected();
    assert.equal(quiet.stream.deadlineAt, quiet.deadlines.now + IDLE_MS);
    quiet.stream.onDeadline();
    assert.deepEqual([quiet.transport.isDestroyed, quiet.transport.isReset], [true, false]);

    const stuck = connected();
    stuck.transport.hasRoom = false;
    stuck.stream.write('large');
    stuck.stream.onDeadline();
    assert.equal(stuck.transport.isReset, true);
  });

  test('waits for the next byte anew with each that moves', () => {
    const { stream, deadlines, says } = connected();
    for (const move of [() => says('a'), () => void stream.write('b')]) {
      deadlines.now += 900;
      move();
      assert.equal(stream.deadlineAt, deadlines.now + IDLE_MS);
    }
  });
});

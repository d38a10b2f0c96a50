import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import {
  tcpInternals,
  type ShutdownRequest,
  type TcpHandle,
  type WriteRequest,
} from '../../../../src/worker/transport/node-internals.ts';
import { TcpTransport } from '../../../../src/worker/transport/tcp-transport.ts';
import type { Transport, TransportOwner } from '../../../../src/worker/transport/transport.ts';

const END_OF_FILE = -4095;

test('a connection that can neither be written to nor read from is closed, after all of it was read', async () => {
  const { handle, transport, events } = connected();
  handle.writeStatus = -constants.errno.EPIPE;
  transport.writeText('for nobody');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(events, [], 'what was sent before may still be read');

  // The write has taken the error along, so that reading sees nothing but an end.
  handle.reads(END_OF_FILE);
  assert.deepEqual(events, ['end', 'closed: write EPIPE']);
});

describe('a connection that is ended while the other side does not read', () => {
  function endedWhileBlocked() {
    const all = connected();
    all.handle.unfinished = [];
    all.transport.writeText('the end of it');
    all.transport.end();
    return all;
  }

  test('says so when everything has left', () => {
    const { handle, events } = endedWhileBlocked();
    assert.deepEqual(events, ['blocked']);
    assert.equal(handle.shutdowns.length, 0);

    handle.unfinished![0]!.oncomplete!(0);
    assert.deepEqual(events, ['blocked', 'writable']);
    assert.equal(handle.shutdowns.length, 1);
  });

  test('says so once, though its owner ends it at that moment', async () => {
    const { handle, transport, owner, events } = connected();
    handle.unfinished = [];
    transport.writeText('the end of it');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(events, ['blocked']);
    owner.onWritable = () => transport.end();
    handle.unfinished[0]!.oncomplete!(0);
    assert.equal(handle.shutdowns.length, 1);
  });

  test('can still be reset, so that nobody takes what has left for all of it', () => {
    const { handle, transport } = endedWhileBlocked();
    transport.reset();
    assert.equal(handle.isReset, true);
  });
});

function connected() {
  const handle = new ScriptedHandle();
  const events: string[] = [];
  const owner: TransportOwner = {
    onBytes: (bytes, from, end) => void events.push(bytes.latin1Slice(from, end)),
    onEnd: () => void events.push('end'),
    onBlocked: () => void events.push('blocked'),
    onWritable: () => void events.push('writable'),
    onClosed: (error) => void events.push(`closed: ${error?.message}`),
  };
  let transport: Transport | undefined;
  TcpTransport.over(handle, { address: '127.0.0.1', port: 1 }, (made) => {
    transport = made;
    return owner;
  });
  return { handle, transport: transport!, owner, events };
}

/** In place of the kernel. */
class ScriptedHandle implements TcpHandle {
  onread: ((this: TcpHandle) => void) | undefined;
  readonly fd = -1;
  readonly writeQueueSize = 0;
  writeStatus = 0;
  /** The requests of writes that are left to the event loop, if they are. */
  unfinished: WriteRequest[] | undefined;
  shutdowns: ShutdownRequest[] = [];
  written = '';
  isReset = false;
  #isClosed = false;

  reads(length: number): void {
    const { state, READ } = tcpInternals()!;
    state[READ] = length;
    this.onread!();
  }

  writeLatin1String(request: WriteRequest, text: string): number {
    if (this.writeStatus !== 0) return this.writeStatus;
    this.written += text;
    const { state, WRITE_IS_ASYNC } = tcpInternals()!;
    state[WRITE_IS_ASYNC] = this.unfinished === undefined ? 0 : 1;
    this.unfinished?.push(request);
    return 0;
  }

  writeBuffer(request: WriteRequest, bytes: Buffer): number {
    return this.writeLatin1String(request, bytes.toString('latin1'));
  }

  shutdown(request: ShutdownRequest): number {
    this.shutdowns.push(request);
    return 0;
  }

  close(onClosed: (this: TcpHandle) => void): void {
    assert.equal(this.#isClosed, false, 'closed only once');
    this.#isClosed = true;
    onClosed.call(this);
  }

  reset(onClosed: (this: TcpHandle) => void): number {
    // As libuv does it, which would lose what the shutdown waits for.
    if (this.shutdowns.length > 0) return -constants.errno.EINVAL;
    this.isReset = true;
    this.close(onClosed);
    return 0;
  }

  readStart(): number {
    return 0;
  }
  readStop(): number {
    return 0;
  }
  useUserBuffer(): void {}
  setNoDelay(): void {}
  setKeepAlive(): number {
    return 0;
  }
  bind(): number {
    return 0;
  }
  bind6(): number {
    return 0;
  }
  connect(): number {
    return 0;
  }
  connect6(): number {
    return 0;
  }
  getpeername(): number {
    return 0;
  }
}

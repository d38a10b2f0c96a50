import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import type { IncomingBody, OutgoingBody } from '../../../../src/worker/http/body.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import type { Transport } from '../../../../src/worker/transport/transport.ts';
import { SocketTransport } from '../../../../src/worker/transport/socket-transport.ts';
import { UpstreamConnection } from '../../../../src/worker/upstream/http1-connection.ts';
import { HttpPeer } from '../../../../src/worker/upstream/peer.ts';
import type { ResponseReceiver } from '../../../../src/worker/upstream/response-receiver.ts';
import { fill, socketPair } from '../../../support/full-buffers.ts';
import { overSocket } from '../../../support/raw.ts';

const LAST_WORDS = Buffer.from('the last words');
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

describe('a tunnel whose peer has not taken all of it', () => {
  test('waits for the peer that ended its half first', async (t) => {
    const { peer, tunnel, ended } = await tunnelWithFullBuffers(t);
    peer.socket.end();
    await ended;
    tunnel.write(LAST_WORDS, 0, LAST_WORDS.length);
    tunnel.end(undefined);

    peer.socket.resume();
    assert.equal(lastOf(await peer.closed()), String(LAST_WORDS));
  });

  test('waits for the peer that ends its half afterwards', async (t) => {
    const { peer, tunnel, ended } = await tunnelWithFullBuffers(t);
    tunnel.write(LAST_WORDS, 0, LAST_WORDS.length);
    tunnel.end(undefined);
    peer.socket.end();
    await ended;

    peer.socket.resume();
    assert.equal(lastOf(await peer.closed()), String(LAST_WORDS));
  });

  test('does not wait for ever', async (t) => {
    const { peer, tunnel, ended, connection } = await tunnelWithFullBuffers(t);
    tunnel.write(LAST_WORDS, 0, LAST_WORDS.length);
    tunnel.end(undefined);
    peer.socket.end();
    await ended;
    assert.ok(connection.deadlineAt < Number.POSITIVE_INFINITY);
    connection.onDeadline();

    peer.socket.resume();
    assert.notEqual(lastOf(await peer.closed()), String(LAST_WORDS));
  });
});

describe('bytes that a peer sends on a pooled connection', () => {
  const GET = { method: 'GET', target: '/', version: '1.1' as const, authority: 'a' };
  const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');

  test('while the request is still waiting to leave are not its answer', () => {
    const { connection, transport, failures, answers } = pooled();
    connection.send({ ...GET, headers: new Headers() }, undefined, answers, false);
    connection.onBytes(ANSWER, 0, ANSWER.length);

    assert.deepEqual(failures, ['upstream/unasked-bytes']);
    assert.equal(transport.isDestroyed, true);
  });

  test('while the request behind another is still waiting to leave are not its answer', () => {
    const { connection, transport, failures, answers } = pooled();
    const send = () =>
      connection.send({ ...GET, headers: new Headers() }, undefined, answers, true);
    send();
    transport.handOvers += 1;
    send();
    const two = Buffer.concat([ANSWER, ANSWER]);
    connection.onBytes(two, 0, two.length);

    assert.deepEqual(failures, ['200', 'upstream/unasked-bytes']);
    assert.equal(transport.isDestroyed, true);
  });

  test('after it has left are', () => {
    const { connection, transport, failures, answers } = pooled();
    connection.send({ ...GET, headers: new Headers() }, undefined, answers, false);
    transport.handOvers += 1;
    connection.onBytes(ANSWER, 0, ANSWER.length);

    assert.deepEqual(failures, ['200']);
    assert.equal(transport.isDestroyed, false);
  });
});

function pooled() {
  const transport = new StillTransport();
  const events: string[] = [];
  const peer = new HttpPeer('127.0.0.1:1');
  const connection = new UpstreamConnection(peer, transport, new Deadlines(), {
    onReusable() {},
    onGone: () => events.push('gone'),
  });
  const failures: string[] = [];
  const answers: ResponseReceiver = {
    onInterim: () => assert.fail(),
    onResponse: ({ status }) => failures.push(String(status)),
    onUpgraded: () => assert.fail(),
    onFailed: ({ code }) => failures.push(code),
  };
  return { connection, transport, failures, answers, events };
}

test('a pooled connection whose time is over is not found again before it is closed', () => {
  const { connection, transport, events } = pooled();
  connection.rest();
  connection.onDeadline();
  assert.equal(transport.isDestroyed, true);
  assert.deepEqual(events, ['gone']);
  assert.equal(connection.isIdle, false, 'whoever has taken it meanwhile takes another one');
});

/** What is written to it leaves when the test says so. */
class StillTransport implements Transport {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  readonly tls = undefined;
  readonly unsentBytes = 0;
  handOvers = 0;
  isDestroyed = false;

  writeText(): boolean {
    return true;
  }
  writeBytes(): boolean {
    return true;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  reset(): void {}
  destroy(): void {
    this.isDestroyed = true;
  }
}

/** The rest are megabytes of zeros. */
function lastOf(received: string): string {
  return received.slice(-LAST_WORDS.length);
}

/** A peer that agrees to a tunnel, but reads nothing of it: the kernel takes no more, and the rest is in our memory. */
async function tunnelWithFullBuffers(t: TestContext) {
  const { ours, theirs } = await socketPair(t);
  const peer = overSocket(theirs);
  theirs.pause();
  await fill(ours);
  const events = { onReusable() {}, onGone() {} };
  let connection: UpstreamConnection | undefined;
  SocketTransport.over(ours, (transport) => {
    const to = new HttpPeer('127.0.0.1:1');
    connection = new UpstreamConnection(to, transport, new Deadlines(), events);
    return connection;
  });
  t.after(() => connection?.close());
  const headers = new Headers(['Connection', 'Upgrade', 'Upgrade', 'x']);
  const head = { method: 'GET', target: '/', version: '1.1' as const, authority: 'a', headers };
  const tunnel = await new Promise<IncomingBody & OutgoingBody>((resolve) => {
    const requester: ResponseReceiver = {
      onInterim: () => assert.fail(),
      onResponse: () => assert.fail(),
      onUpgraded: (_head, opened) => resolve(opened),
      onFailed: (error) => assert.fail(error),
    };
    connection!.send(head, undefined, requester, false);
    // Once the request has been given to the socket, which it is at the end of the turn.
    setImmediate(() => peer.send(SWITCHED));
  });
  const ended = new Promise<void>((resolve, reject) => {
    tunnel.start({ onData() {}, onIdle() {}, onEnd: () => resolve(), onError: reject });
  });
  return { peer, tunnel, ended, connection: connection! };
}

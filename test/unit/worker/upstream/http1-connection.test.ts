import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import type { IncomingBody, OutgoingBody } from '../../../../src/worker/http/body.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { SocketTransport } from '../../../../src/worker/transport/socket-transport.ts';
import {
  UpstreamConnection,
  type ResponseReceiver,
} from '../../../../src/worker/upstream/http1-connection.ts';
import { HttpPeer } from '../../../../src/worker/upstream/peer.ts';
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
    peer.send(SWITCHED);
  });
  const ended = new Promise<void>((resolve, reject) => {
    tunnel.start({ onData() {}, onIdle() {}, onEnd: () => resolve(), onError: reject });
  });
  return { peer, tunnel, ended, connection: connection! };
}

/** A connection to a peer while one of the two sides does not keep up with the other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import type { BodyReceiver, IncomingBody } from '../../../../src/worker/http/body.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { UpstreamConnection } from '../../../../src/worker/upstream/http1-connection.ts';
import { HttpPeer } from '../../../../src/worker/upstream/peer.ts';
import type { ResponseReceiver } from '../../../../src/worker/upstream/response-receiver.ts';
import { ScriptedTransport } from '../../../support/scripted-transport.ts';

const NEVER = Number.POSITIVE_INFINITY;

const PIECE = Buffer.from('a piece');
const UPLOAD = { length: undefined } as IncomingBody;

describe('a connection whose answer the client could not take at once', () => {
  test('reads again once the answer is complete: it is for the next request', () => {
    const { connection, transport, says, heard } = connected();
    connection.send(request(), undefined, heard.requester, false);
    heard.onData = () => connection.pause();
    says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');

    assert.deepEqual(heard.events, ['200', 'reusable', 'end']);
    assert.equal(transport.isPaused, false);
    connection.send(request(), undefined, heard.requester, false);
    assert.notEqual(connection.deadlineAt, NEVER);
  });
});

describe('a request body that the peer does not take', () => {
  test('is not taken from the client either, however small its pieces are', () => {
    const { connection, transport, heard } = connected();
    connection.send(request(), UPLOAD, heard.requester, false);
    transport.hasRoom = false;
    connection.write(PIECE, 0, PIECE.length);
    connection.flush();
    assert.equal(connection.write(PIECE, 0, PIECE.length), false);

    transport.hasRoom = true;
    connection.onWritable();
    assert.equal(connection.write(PIECE, 0, PIECE.length), true);
  });
});

describe('the deadline of a peer that is sent a body while it answers', () => {
  function answering() {
    const all = connected();
    const { connection, transport, heard, says } = all;
    connection.send(request(), UPLOAD, heard.requester, false);
    transport.hasRoom = false;
    connection.write(PIECE, 0, PIECE.length);
    connection.flush();
    says('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    return all;
  }

  test('to take the body stays while the answer waits for the client', () => {
    const { connection } = answering();
    connection.pause();
    assert.notEqual(connection.deadlineAt, NEVER);
    connection.resume();
    assert.notEqual(connection.deadlineAt, NEVER);
  });

  test('is over when it has taken it, if the answer waits for the client', () => {
    const { connection, transport } = answering();
    connection.pause();
    connection.write(PIECE, 0, PIECE.length);
    connection.flush();
    transport.hasRoom = true;
    connection.onWritable();
    connection.end(undefined);
    assert.equal(connection.deadlineAt, NEVER);
    connection.resume();
    assert.notEqual(connection.deadlineAt, NEVER);
  });
});

test('a peer that answers one request and does not read the next one has a deadline', () => {
  const { connection, transport, heard, says } = connected();
  connection.send(request(), undefined, heard.requester, true);
  says('HTTP/1.1 204 No Content\r\n\r\n');
  connection.send(request(), undefined, heard.requester, true);
  transport.hasRoom = false;
  connection.send(request(), undefined, heard.requester, true);
  says('HTTP/1.1 204 No Content\r\n\r\n');

  assert.deepEqual(heard.events, ['reusable', '204', '204']);
  assert.notEqual(connection.deadlineAt, NEVER);
});

test('a request that fails late does not end a connection that it has left', () => {
  const { connection, transport, heard, says } = connected();
  connection.send(request(), UPLOAD, heard.requester, false);
  connection.flush();
  says('HTTP/1.1 204 No Content\r\n\r\n');
  connection.end(undefined);
  assert.deepEqual(heard.events, ['204', 'reusable']);

  const somebodyElse = { ...heard.requester };
  connection.send(request(), undefined, somebodyElse, false);
  connection.release(heard.requester);
  assert.equal(transport.isDestroyed, false);
  connection.release(somebodyElse);
  assert.equal(transport.isDestroyed, true);
});

describe('a tunnel', () => {
  const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

  function tunnel() {
    const all = connected();
    const asked = request(['Connection', 'Upgrade', 'Upgrade', 'x']);
    all.connection.send(asked, undefined, all.heard.requester, false);
    all.says(SWITCHED);
    return all;
  }

  test('that breaks after the peer has ended its half says so', () => {
    const { connection, heard } = tunnel();
    connection.onEnd();
    connection.write(PIECE, 0, PIECE.length);
    connection.onClosed(new Error('reset'));

    assert.deepEqual(heard.events, ['end', 'gone', 'upstream/closed']);
  });

  test('that closes after both have ended is in order', () => {
    const { connection, heard } = tunnel();
    connection.onEnd();
    connection.end(undefined);
    connection.onClosed(undefined);

    assert.deepEqual(heard.events, ['end', 'gone']);
  });

  test('may be silent, though the client has ended its half', () => {
    const { connection, says } = tunnel();
    connection.end(undefined);
    says('more');
    assert.equal(connection.deadlineAt, NEVER);
  });
});

function connected() {
  const transport = new ScriptedTransport();
  const events: string[] = [];
  const deadlines = new Deadlines();
  const connection = new UpstreamConnection(new HttpPeer('127.0.0.1:1'), transport, deadlines, {
    onReusable: () => events.push('reusable'),
    onGone: () => events.push('gone'),
  });
  const heard = new Heard(events);
  const says = (text: string) => {
    transport.handOvers += 1;
    const bytes = Buffer.from(text, 'latin1');
    connection.onBytes(bytes, 0, bytes.length);
  };
  return { connection, transport, heard, says };
}

function request(fields: string[] = []) {
  const headers = new Headers([...fields]);
  return { method: 'GET', target: '/', version: '1.1' as const, authority: 'a', headers };
}

/** Notes what the sender of a request hears. */
class Heard {
  readonly events: string[];
  onData: () => void = () => {};

  constructor(events: string[]) {
    this.events = events;
  }

  readonly body: BodyReceiver = {
    onData: () => this.onData(),
    onIdle: () => {},
    onEnd: () => void this.events.push('end'),
    onError: ({ code }) => void this.events.push(code),
  };

  readonly requester: ResponseReceiver = {
    onInterim: () => {},
    onResponse: ({ status }, body) => {
      this.events.push(String(status));
      body?.start(this.body);
    },
    onUpgraded: (_head, tunnel) => tunnel.start(this.body),
    onFailed: ({ code }) => void this.events.push(code),
  };
}

/** A connection to a peer while one of the two sides does not keep up with the other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import type { BodyReceiver, IncomingBody } from '../../../../src/worker/http/body.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import {
  UpstreamConnection,
  type ResponseReceiver,
} from '../../../../src/worker/upstream/http1-connection.ts';
import { HttpPeer } from '../../../../src/worker/upstream/peer.ts';
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

function request() {
  const headers = new Headers();
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

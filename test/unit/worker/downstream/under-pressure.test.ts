/** A client's connection while one of the two sides does not keep up with the other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import { Admission, ConnectionBudget } from '../../../../src/worker/downstream/admission.ts';
import { Http1Connection } from '../../../../src/worker/downstream/http1-connection.ts';
import type { ConnectionOptions } from '../../../../src/worker/downstream/settings.ts';
import type { BodyReceiver } from '../../../../src/worker/http/body.ts';
import type { Exchange } from '../../../../src/worker/http/exchange.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { RequestHeadParser } from '../../../../src/worker/protocol/http1/request-head.ts';
import { ScriptedTransport } from '../../../support/scripted-transport.ts';

const PIECE = Buffer.from('a piece');
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('an answer that the client does not take', () => {
  test('is not taken from the peer either, however small its pieces are', () => {
    const { connection, transport, exchanges, says } = connected();
    says(GET);
    const answer = exchanges[0]!.sendHead(head(), 'unknown');
    transport.hasRoom = false;
    answer.write(PIECE, 0, PIECE.length);
    answer.flush();
    assert.equal(answer.write(PIECE, 0, PIECE.length), false);

    transport.hasRoom = true;
    connection.onWritable();
    assert.equal(answer.write(PIECE, 0, PIECE.length), true);
  });

  test('has as long for its last piece as for those before it', () => {
    const { connection, transport, deadlines, exchanges, says } = connected(1_000);
    says(GET);
    const answer = exchanges[0]!.sendHead(head(), 'unknown');
    const body = Buffer.alloc(100_000);
    // Fast enough for 1000 bytes per second, but longer under way than the first seconds of grace.
    transport.hasRoom = false;
    answer.write(body, 0, body.length);
    deadlines.now += 20_000;
    connection.onWritable();
    answer.end(undefined);
    connection.onBlocked();

    assert.ok(connection.deadlineAt > deadlines.now + 5_000);
  });

  test('is not cut short because it was the last one', () => {
    const { connection, transport, exchanges, says } = connected();
    says('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    const [exchange] = exchanges as [Exchange];
    const toClient = exchange.sendHead(head(101), 'tunnel');
    exchange.startTunnel().start({ onData() {}, onIdle() {}, onEnd() {}, onError() {} });
    connection.onEnd();
    transport.hasRoom = false;
    toClient.write(PIECE, 0, PIECE.length);
    toClient.end(undefined);
    connection.onDeadline();

    assert.equal(transport.isReset, false);
    assert.ok(connection.deadlineAt < Number.POSITIVE_INFINITY);
    connection.onDeadline();
    assert.equal(transport.isReset, true, 'a client that takes nothing is cut at last');
  });
});

describe('a connection whose request body the peer could not take at once', () => {
  test('reads again once the body is complete: the next request is behind it', () => {
    const { transport, exchanges, receiver, says } = connected();
    says('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
    const body = exchanges[0]!.requestBody!;
    body.start({ ...receiver, onData: () => body.pause() });
    says('body');

    assert.equal(transport.isPaused, false);
  });
});

test('the time of a client stands while the peer takes nothing of its body', () => {
  const { connection, exchanges, receiver, says } = connected();
  says('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
  const body = exchanges[0]!.requestBody!;
  body.start({ ...receiver, onData: () => body.pause() });
  says('bo');

  assert.equal(connection.deadlineAt, Number.POSITIVE_INFINITY);
});

test('and goes on standing when the client has taken a piece of its answer', () => {
  const { connection, exchanges, receiver, says } = connected();
  says('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
  const body = exchanges[0]!.requestBody!;
  body.start(receiver);
  const answer = exchanges[0]!.sendHead(head(), 'unknown');
  answer.write(PIECE, 0, PIECE.length);
  answer.flush();
  connection.onBlocked();
  body.pause();
  assert.ok(connection.deadlineAt < Number.POSITIVE_INFINITY, 'it still has to take the answer');

  connection.onWritable();
  assert.equal(connection.deadlineAt, Number.POSITIVE_INFINITY);
  body.resume();
  assert.ok(connection.deadlineAt < Number.POSITIVE_INFINITY);
});

test('many pipelined requests are not copied again for each of them', (t) => {
  const { transport, exchanges, says } = connected();
  let copied = 0;
  const allocate = Buffer.allocUnsafeSlow.bind(Buffer);
  t.mock.method(Buffer, 'allocUnsafeSlow', (size: number) => {
    copied += size;
    return allocate(size);
  });
  const all = GET.repeat(1_000);
  says(all);
  for (const exchange of exchanges) exchange.sendHead(head(204), 'none');

  assert.equal(transport.written.match(/HTTP\/1\.1 204 /g)?.length, 1_000);
  assert.ok(copied >= all.length - GET.length, 'this counts what is copied');
  assert.ok(copied < 4 * all.length, `${copied} bytes were copied`);
});

describe('a client that ends its half behind its request', () => {
  const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n';

  test('has sent all of the body, though nobody has read it yet', () => {
    const { connection, transport, exchanges, events, receiver, says } = connected();
    says(`${POST}body`);
    connection.onEnd();
    exchanges[0]!.requestBody!.start(receiver);

    assert.deepEqual(events, ['body', 'end']);
    exchanges[0]!.sendHead(head(204), 'none');
    assert.match(transport.written, /^HTTP\/1\.1 204 [^]*\r\nConnection: close\r\n/);
    assert.equal(transport.isEnded, true);
  });

  test('has not, and whoever reads it hears of that', () => {
    const { connection, exchanges, events, receiver, says } = connected();
    says(POST.replace('Content-Length: 4', 'Transfer-Encoding: chunked') + '4\r\nbod');
    connection.onEnd();
    exchanges[0]!.requestBody!.start(receiver);

    assert.deepEqual(events, ['bod', 'downstream/closed']);
  });

  test('has not, and is gone', () => {
    const { connection, transport, exchanges, says } = connected();
    says(`${POST}bod`);
    connection.onEnd();

    assert.equal(exchanges[0]!.aborted?.code, 'downstream/closed');
    assert.equal(transport.isReset, true);
  });

  test('has not, but has been answered before that: it may take the rest of the answer', () => {
    const { connection, transport, exchanges, says } = connected();
    says(`${POST}bod`);
    transport.hasRoom = false;
    exchanges[0]!.sendHead(head(204), 'none');
    connection.onEnd();
    connection.onWritable();

    assert.equal(transport.isReset, false);
    assert.equal(transport.isEnded, true);
  });
});

function connected(minRate = 0) {
  const transport = new ScriptedTransport();
  const deadlines = new Deadlines();
  const exchanges: Exchange[] = [];
  const events: string[] = [];
  const options: ConnectionOptions = {
    deadlines,
    headParser: new RequestHeadParser(),
    timeouts: {
      tlsHandshakeMs: 10_000,
      requestHeadMs: 10_000,
      requestBodyMs: 20_000,
      responseWriteMs: 30_000,
      tunnelIdleMs: 40_000,
      keepAliveMs: 50_000,
    },
    limits: { maxBodyBytes: 1_000_000, minRate, maxRequests: 1_000 },
    admission: new Admission(
      { maxConnections: 10, maxConnectionsPerClient: 10 },
      new ConnectionBudget(10),
      undefined,
    ),
    handle: (exchange) => exchanges.push(exchange),
    onHandshakeFailed: () => {},
    mayConnect: undefined,
    server: { address: '127.0.0.1', port: 1 },
  };
  const connection = new Http1Connection(transport, options, () => {});
  const receiver: BodyReceiver = {
    onData: (bytes, from, end) => void events.push(bytes.latin1Slice(from, end)),
    onIdle: () => {},
    onEnd: () => void events.push('end'),
    onError: ({ code }) => void events.push(code),
  };
  const says = (text: string) => {
    const bytes = Buffer.from(text, 'latin1');
    connection.onBytes(bytes, 0, bytes.length);
  };
  return { connection, transport, deadlines, exchanges, events, receiver, says };
}

function head(status = 200) {
  return { status, reason: '', version: '1.1' as const, headers: new Headers() };
}

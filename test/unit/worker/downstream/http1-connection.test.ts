import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Deadlines } from '../../../../src/shared/time/deadlines.ts';
import { Admission, ConnectionBudget } from '../../../../src/worker/downstream/admission.ts';
import { Http1Connection } from '../../../../src/worker/downstream/http1-connection.ts';
import type { ConnectionOptions } from '../../../../src/worker/downstream/settings.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { RequestHeadParser } from '../../../../src/worker/protocol/http1/request-head.ts';
import { SocketTransport } from '../../../../src/worker/transport/socket-transport.ts';
import { fill, socketPair } from '../../../support/full-buffers.ts';
import { overSocket } from '../../../support/raw.ts';

describe('a connection that ends while the client has not taken all of its answer', () => {
  const ends = [
    {
      name: 'because its answer was the last',
      request: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      pass: () => {},
    },
    {
      name: 'because nothing more was asked',
      request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      pass: (connection: Http1Connection) => connection.onDeadline(),
    },
    {
      name: 'because the rest of a body did not come',
      request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n',
      pass: (connection: Http1Connection) => connection.onDeadline(),
    },
    {
      name: 'because the client ended its half',
      request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      pass: (connection: Http1Connection) => connection.onEnd(),
    },
    {
      name: 'because the client ended its half in the middle of its body',
      request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n',
      pass: (connection: Http1Connection) => connection.onEnd(),
    },
  ];
  for (const { name, request, pass } of ends) {
    test(`waits for the client to take it: ${name}`, async (t) => {
      const { client, connection, filled } = await withFullBuffers(t, request);
      pass(connection);
      // What is allowed for the client to close first is over, too.
      connection.onDeadline();

      client.socket.resume();
      const received = await client.closed();
      assert.match(received.slice(filled), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nall of it$/);
    });
  }

  test('is cut at last, in a way that no client takes for the end of the answer', async (t) => {
    const [{ request }] = ends as [(typeof ends)[0]];
    const { client, connection, filled } = await withFullBuffers(t, request);
    for (let n = 0; n < 5; n++) connection.onDeadline();

    const isReset = new Promise((resolve) => client.socket.on('close', resolve));
    client.socket.resume();
    assert.ok((await client.closed()).length <= filled);
    client.socket.end();
    assert.equal(await isReset, true);
  });
});

/**
 * A client that has not read for so long that the kernel takes no more, and now
 * sends a request. It is answered at once, and the answer stays in our memory.
 */
async function withFullBuffers(t: TestContext, request: string) {
  const { ours, theirs } = await socketPair(t);
  const client = overSocket(theirs);
  theirs.pause();
  const filled = await fill(ours);
  let done: () => void = () => {};
  const answered = new Promise<void>((resolve) => (done = resolve));
  const deadlines = new Deadlines();
  let connection: Http1Connection | undefined;
  const options: ConnectionOptions = {
    deadlines,
    headParser: new RequestHeadParser(),
    timeouts: {
      tlsHandshakeMs: 10_000,
      requestHeadMs: 10_000,
      requestBodyMs: 10_000,
      responseWriteMs: 10_000,
      tunnelIdleMs: 10_000,
      keepAliveMs: 10_000,
    },
    limits: { maxBodyBytes: 1_000, minRate: 0, maxRequests: 10 },
    admission: new Admission(
      { maxConnections: 10, maxConnectionsPerClient: 10 },
      new ConnectionBudget(10),
      undefined,
    ),
    handle(exchange) {
      const head = { status: 200, reason: '', version: '1.1' as const, headers: new Headers() };
      const body = Buffer.from('all of it');
      const writer = exchange.sendHead(head, body.length);
      writer.write(body, 0, body.length);
      writer.end(undefined);
      done();
    },
    onHandshakeFailed: () => {},
    mayConnect: undefined,
    server: { address: '127.0.0.1', port: 1 },
  };
  SocketTransport.over(ours, (transport) => {
    connection = new Http1Connection(transport, options, () => {});
    return connection;
  });
  t.after(() => connection?.destroy());
  theirs.write(request);
  await answered;
  return { client, connection: connection!, filled };
}

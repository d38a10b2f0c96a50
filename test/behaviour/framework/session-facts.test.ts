import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpPeer, type ProxyError, type ProxyHttp, type Session } from 'sluice';
import { testProxy } from 'sluice/testing';

const peer = new HttpPeer('10.0.0.1:80');
const plain: ProxyHttp = { upstreamPeer: () => peer };

describe('a session', () => {
  test('counts the bytes of bodies in both directions, without their framing', async () => {
    const counted: [string, number, number][] = [];
    await using world = await testProxy({
      ...plain,
      responseFilter: ({ bytesReceived, bytesSent }) =>
        void counted.push(['at the head', bytesReceived, bytesSent]),
      logging: ({ bytesReceived, bytesSent }) =>
        void counted.push(['at the end', bytesReceived, bytesSent]),
    });
    world.peer.answer({ body: 'an answer' });

    const headers = { 'transfer-encoding': 'chunked' };
    await world.fetch('/', { method: 'POST', headers, body: 'a body' });

    assert.deepEqual(counted, [
      ['at the head', 6, 0],
      ['at the end', 6, 9],
    ]);
  });

  test('has an id that is in the log, in the access log and in an error answer', async () => {
    const ids: string[] = [];
    await using world = await testProxy({
      ...plain,
      requestFilter({ requestId, log }) {
        ids.push(requestId);
        log.info({}, 'seen');
      },
    });
    world.peer.connects = 'refuse';

    const answers = [await world.fetch('/'), await world.fetch('/')];

    assert.notEqual(ids[0], ids[1]);
    assert.deepEqual(
      answers.map(({ headers }) => headers.get('x-request-id')),
      ids,
    );
    assert.deepEqual(
      world.accessLog.map(({ requestId }) => requestId),
      ids,
    );
    const seen = world.log.filter(({ msg }) => msg === 'seen');
    assert.deepEqual(
      seen.map(({ requestId }) => requestId),
      ids,
    );
  });

  test('knows why it failed: whose fault it is, what may be done, and what it was', async () => {
    const failures: ProxyError[] = [];
    await using world = await testProxy({
      ...plain,
      failToProxy: (_session: Session, error: ProxyError) => void failures.push(error),
    });
    world.peer.connects = 'refuse';

    assert.equal((await world.fetch('/')).status, 502);

    const [{ code, facts, cause }] = failures as [ProxyError];
    assert.equal(code, 'upstream/connect-refused');
    assert.deepEqual([facts.side, facts.status, facts.retry], ['upstream', 502, 'safe']);
    assert.equal((cause as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  test('has fields under any spelling, and hands them on as they were written', async () => {
    const seen: (string | undefined)[] = [];
    await using world = await testProxy({
      ...plain,
      requestFilter: ({ request: { headers } }) => void seen.push(headers.get('X-ONE')),
    });
    const client = world.connect();

    client.write('GET / HTTP/1.1\r\nHost: a\r\nx-TWO: 2\r\nX-One: 1\r\nx-TWO: 3\r\n\r\n');
    const { headers } = await world.peer.received();
    client.destroy();

    assert.deepEqual(seen, ['1']);
    const sent = [...headers].filter(([name]) => /^x-(?:one|two)$/i.test(name));
    assert.deepEqual(sent, [
      ['x-TWO', '2'],
      ['X-One', '1'],
      ['x-TWO', '3'],
    ]);
  });
});

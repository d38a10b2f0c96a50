import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawClient, startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/bodies.ts', import.meta.url));

const MEGABYTES = 8 * 1024 * 1024;

/** Too much to be held back until its end is known. */
const LONG = 'x'.repeat(20_000);

const changes = [
  { name: 'leave a body as it is', query: '', up: 'hello', down: 'reply' },
  { name: 'change it', query: 'up=shout&down=shout', up: 'HELLO', down: 'REPLY' },
  {
    name: 'make it longer',
    query: 'up=grow&down=grow',
    up: 'hello and more',
    down: 'reply and more',
  },
  { name: 'make it shorter', query: 'up=drop&down=drop', up: 'nothing left', down: 'nothing left' },
  {
    name: 'pass it from one to the other',
    query: 'first=shout&down=grow',
    up: 'hello',
    down: 'REPLY and more',
  },
];

test('the body phases of a program', async (t) => {
  let goOn = () => {};
  const peer = await startPeer(t, (request, response, body) => {
    if (request.url!.includes('echo')) {
      response.end(body);
      return;
    }
    if (request.url!.includes('trailers')) {
      response.writeHead(200, { trailer: 'x-after' });
      response.write('reply');
      response.addTrailers({ 'x-after': 'yes' });
      response.end();
      return;
    }
    if (request.url!.includes('chunked')) {
      response.write('re');
      response.end('ply');
      return;
    }
    if (request.url!.includes('long')) {
      response.setHeader('content-length', LONG.length);
      response.end(LONG);
      return;
    }
    response.setHeader('content-length', 5);
    if (request.url!.includes('paced')) {
      response.write('re');
      goOn = () => response.end('ply');
      return;
    }
    response.end('reply');
  });
  const sluice = await startSluice(t, `peer: '${peer.address}'`, { program });
  const lastRequest = () => peer.requests.at(-1)!;

  for (const { name, query, up, down } of changes) {
    for (const late of ['', '&late=1']) {
      await t.test(`${name}${late === '' ? '' : ', in their own time'}`, async () => {
        const target = `/?${query}${late}`;
        const answer = await sluice.get(target, { method: 'POST', body: 'hello' });

        assert.equal(answer.body, down);
        assert.equal(answer.headers['content-length'], String(down.length));
        assert.equal(answer.headers['transfer-encoding'], undefined);
        assert.equal(lastRequest().body.toString(), up);
        assert.equal(lastRequest().headers['content-length'], undefined);
      });
    }
  }

  await t.test('may say the new length', async () => {
    const target = '/?up=grow&up-length=14&down=drop&down-length=12';
    const answer = await sluice.get(target, { method: 'POST', body: 'hello' });

    assert.equal(answer.body, 'nothing left');
    assert.equal(answer.headers['content-length'], '12');
    assert.equal(lastRequest().body.toString(), 'hello and more');
    assert.equal(lastRequest().headers['content-length'], '14');
  });

  await t.test('leave a long body, and one without a length, to be told in chunks', async () => {
    for (const [target, body] of [
      ['/long?down=shout', LONG.toUpperCase()],
      ['/chunked?down=shout', 'REPLY'],
    ] as const) {
      const answer = await sluice.get(target);
      assert.equal(answer.body, body);
      assert.equal(answer.headers['content-length'], undefined, target);
      assert.equal(answer.headers['transfer-encoding'], 'chunked', target);
    }
  });

  await t.test('hold back nothing that the peer has sent before it pauses', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /paced?down=shout HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.receives(/transfer-encoding: chunked\r\n\r\n2\r\nRE\r\n$/i);
    goOn();
    await client.receives(/\r\n\r\n2\r\nRE\r\n3\r\nPLY\r\n0\r\n\r\n$/);
  });

  await t.test('do not cost a client of HTTP/1.0 its connection', async () => {
    const client = await rawClient(t, sluice.port);
    for (let n = 0; n < 2; n++) {
      client.send('GET /?down=grow HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
      await client.receives(
        new RegExp(`(content-length: 14\r\n.*reply and more.*){${n + 1}}$`, 'is'),
      );
    }
  });

  for (const length of ['4', '6']) {
    await t.test(`that break their promise of ${length} bytes never look complete`, async () => {
      const code = 'internal/body-length';
      const since = sluice.logs.length;
      const upload = await sluice.get(`/?up-length=${length}`, { method: 'POST', body: 'hello' });
      assert.equal(upload.status, 500);
      await assert.rejects(sluice.get(`/?down-length=${length}`), { code: 'ECONNRESET' });

      const isIt = ({ err }: Readonly<Record<string, unknown>>) =>
        (err as { code?: string } | undefined)?.code === code;
      const first = await sluice.logged((line, index) => index >= since && isIt(line));
      assert.equal(first['phase'], 'requestBodyFilter');
      await sluice.logged((line) => isIt(line) && line['phase'] === 'responseBodyFilter');
    });
  }

  await t.test('that are promised a length that is none fail the request', async () => {
    const answer = await sluice.get('/?up-length=-1', { method: 'POST', body: 'hello' });
    assert.equal(answer.status, 500);
  });

  await t.test('do not run where there is no body', async () => {
    const answer = await sluice.get('/?up=grow&down=grow', { method: 'HEAD' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-length'], undefined);
    assert.equal(lastRequest().body.length, 0);
    assert.equal(lastRequest().headers['transfer-encoding'], undefined);
  });

  await t.test('see the fields after the body', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /trailers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(
      await client.closed(),
      /\r\n5\r\nreply\r\n0\r\nx-after: yes\r\nx-seen: yes\r\n\r\n$/,
    );
  });

  await t.test('hold both sides back, and lose nothing of a long body', async () => {
    const body = randomBytes(MEGABYTES);
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    const answer = await sluice.get('/echo?late=1', { method: 'POST', body });

    assert.equal(digest(Buffer.from(answer.body, 'latin1')), digest(body));
    assert.equal(digest(lastRequest().body), digest(body));
  });

  await t.test('leave connections that the next request can use', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const before = peer.connectionCount;
    for (let n = 0; n < 4; n++) {
      const answer = await sluice.get('/?late=1', { method: 'POST', body: 'hello', agent });
      assert.equal(answer.body, 'reply');
    }
    assert.ok(peer.connectionCount <= before + 1, 'the peer’s connection was not used again');
  });
});

import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closedPort, eventually, get, startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/retries.ts', import.meta.url));

test('a request is sent again', async (t) => {
  /** Answers by what the path asks for, attempt by attempt: `/503,200`. */
  const seen = new Map<string, number>();
  const held: ServerResponse[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => {
    const target = request.url!;
    const attempt = seen.get(target) ?? 0;
    seen.set(target, attempt + 1);
    const wishes = target.slice(1).split('?')[0]!.split(',');
    const wish = wishes[Math.min(attempt, wishes.length - 1)]!;
    if (wish === 'close') request.socket.destroy();
    else if (wish === 'hold') held.push(response);
    else if (wish === 'again') response.setHeader('x-again', '1').end('again');
    else response.writeHead(Number(wish)).end(`attempt ${attempt + 1}: ${body.toString()}`);
  };
  const peer = await startPeer(t, answer);
  const closed = `127.0.0.1:${await closedPort()}`;
  const yaml = `peer: '${peer.address}'\nclosed: '${closed}'`;
  const sluice = await startSluice(t, yaml, { program });
  const [asking, thrifty, givingUp, dead] = sluice.addresses.map(({ port }) => port);
  const attempts = (target: string) => seen.get(target) ?? 0;
  const again = { headers: { 'x-again': '1' } };

  const cases = [
    { name: 'because of its status', target: '/503,200', status: 200, attempts: 2 },
    { name: 'as often as there are attempts', target: '/503', status: 503, attempts: 3 },
    { name: 'only if the status is one of those', target: '/500,200', status: 500, attempts: 1 },
    {
      name: 'with its body, if the method is idempotent',
      target: '/503,201',
      init: { method: 'PUT', body: 'kept' },
      status: 201,
      attempts: 2,
      body: 'attempt 2: kept',
    },
    {
      name: 'never, if it is a POST',
      target: '/503,202',
      init: { method: 'POST', body: 'kept' },
      status: 503,
      attempts: 1,
    },
    {
      name: 'not if its body is too long to be kept',
      target: '/503,203',
      init: { method: 'PUT', body: 'x'.repeat(100_000) },
      status: 503,
      attempts: 1,
    },
    { name: 'because a phase asks for it', target: '/again,200', status: 200, attempts: 2 },
    {
      name: 'never for a phase, if it is a POST',
      target: '/again,201',
      init: { method: 'POST', body: 'x' },
      status: 200,
      attempts: 1,
    },
    {
      name: 'after a failure, because a phase asks for it',
      target: '/close,200',
      init: again,
      status: 200,
      attempts: 2,
    },
    {
      name: 'not after that failure, if nobody asks',
      target: '/close,201',
      status: 502,
      attempts: 1,
    },
    {
      name: 'never after a failure that the peer may have worked for, if it is a POST',
      target: '/close,202',
      init: { ...again, method: 'POST', body: 'x' },
      status: 502,
      attempts: 1,
    },
  ];
  for (const { name, target, init, status, attempts: expected, body } of cases) {
    await t.test(name, async () => {
      const answered = await get(asking!, target, init);
      assert.equal(answered.status, status);
      if (body !== undefined) assert.equal(answered.body, body);
      assert.equal(attempts(target), expected);
    });
  }

  await t.test('only as long as the budget allows it', async () => {
    const first = get(thrifty!, '/503,hold');
    const response = await eventually(async () => held.pop(), 'the retry that is held');

    assert.equal((await get(thrifty!, '/503,200?during')).status, 503);
    assert.equal(attempts('/503,200?during'), 1);

    response.end('done');
    assert.equal((await first).body, 'done');
    assert.equal((await get(thrifty!, '/503,200?after')).status, 200);
  });

  await t.test('not when a phase gives up', async () => {
    assert.equal((await get(givingUp!, '/given-up')).status, 502);
    const line = await sluice.logged(({ request }) => /GET \/given-up/.test(String(request)));
    assert.deepEqual([line['attempts'], line['before']], [1, undefined]);
  });

  const linesAbout = (target: string) =>
    sluice.logs.filter(({ request }) => String(request).startsWith(`GET ${target},`));

  await t.test('and the log has one line about it, with what was tried', async () => {
    await get(asking!, '/503,200?logged');
    await sluice.logged(({ request }) => String(request).includes('?logged'));
    const [line, ...more] = linesAbout('/503,200?logged');
    assert.deepEqual(more, []);
    assert.deepEqual(
      [line!['level'], line!.msg, line!['attempts'], line!['peer'], line!['before']],
      [
        'warn',
        'request needed more than one attempt',
        2,
        peer.address,
        [{ peer: peer.address, why: 503 }],
      ],
    );
  });

  await t.test('in vain, and the log has one line about it, which says it once', async () => {
    assert.equal((await get(dead!, '/dead')).status, 502);
    await sluice.logged(({ request }) => String(request).includes('/dead'));
    const [line, ...more] = linesAbout('/dead');
    assert.deepEqual(more, []);
    const attempt = { peer: closed, why: 'upstream/connect-refused' };
    assert.deepEqual(
      [line!['level'], line!.msg, line!['attempts'], line!['before']],
      ['warn', 'request failed', 3, [attempt, attempt]],
    );
    assert.deepEqual(line!['err'], {
      type: 'ProxyError',
      message: `upstream/connect-refused: ${closed}: connect ECONNREFUSED`,
      code: 'upstream/connect-refused',
    });
  });
});

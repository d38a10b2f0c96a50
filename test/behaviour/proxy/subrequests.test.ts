import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dispatch, HttpPeer, withFilters } from 'sluice';
import type { ProxyError, ProxyHttp, Session, SubrequestInit } from 'sluice';
import { testProxy, type TestWorld } from 'sluice/testing';
import { HttpProxyService } from '../../../src/server/service.ts';
import { connectionDefaults } from '../../../src/shared/config/load.ts';

const peer = new HttpPeer('10.0.0.1:80');
const authority = new HttpPeer('10.0.0.2:80');

const toPeer: ProxyHttp = {
  upstreamPeer: ({ request }) => (request.target.startsWith('/auth') ? authority : peer),
};

/** A proxy that makes that subrequest for each request of a client, and answers with it. */
function answering(init: SubrequestInit | ((session: Session) => SubrequestInit)): ProxyHttp {
  return {
    ...toPeer,
    requestFilter(session) {
      if (session.parent !== undefined) return undefined;
      return session.subrequest(typeof init === 'function' ? init(session) : init);
    },
  };
}

const entryOf = ({ accessLog }: TestWorld, target: string) =>
  accessLog.find((entry) => entry.target === target);

describe('a subrequest that a phase waits for', () => {
  test('may decide about the request, which then goes its way', async () => {
    await using world = await testProxy({
      ...toPeer,
      async requestFilter(session) {
        if (session.parent !== undefined) return undefined;
        const headers = { authorization: session.request.headers.get('authorization') ?? '' };
        const verdict = await session.subrequest({ path: '/auth', headers });
        if (verdict.status !== 204) return session.respondError(403);
        session.request.headers.set('x-user', verdict.headers.get('x-user') ?? '');
        return undefined;
      },
    });
    world
      .peerAt('10.0.0.2:80')
      .answer(({ headers }) =>
        headers.get('authorization') === 'good'
          ? { status: 204, headers: { 'x-user': 'ada' } }
          : { status: 401, body: 'who are you?' },
      );

    const good = await world.fetch('/', { headers: { authorization: 'good' } });
    const bad = await world.fetch('/', { headers: { authorization: 'bad' } });

    assert.deepEqual([good.status, bad.status], [200, 403]);
    assert.equal(world.peer.requests.length, 1);
    assert.equal(world.peer.requests[0]!.headers.get('x-user'), 'ada');
  });

  test('is read as a whole, up to a limit', async () => {
    await using world = await testProxy({
      ...toPeer,
      async requestFilter(session) {
        if (session.parent !== undefined) return undefined;
        const answer = await session.subrequest({ path: '/made' });
        const text = (await answer.readBody({ limit: 10 })).toString();
        return session.respondJson(200, text);
      },
    });

    world.peer.answer({ body: '0123456789' }, { status: 204 }, { body: '0123456789a' });
    const [whole, none, long] = [
      await world.fetch('/'),
      await world.fetch('/'),
      await world.fetch('/'),
    ];

    assert.equal(whole.text, '"0123456789"\n');
    assert.equal(none.text, '""\n');
    assert.equal(long.status, 500);
    assert.equal(world.accessLog.at(-1)!.error!.code, 'internal/subrequest-failed');
  });

  test('may answer for the request: status, every field, and the body as it comes', async () => {
    await using world = await testProxy(answering({ method: 'PUT', path: '/other', body: 'sent' }));
    const body = Buffer.alloc(3_000_000, 'large ');
    world.peer.answer({
      raw: Buffer.concat([
        Buffer.from(
          `HTTP/1.1 203 Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: ${body.length}\r\n\r\n`,
        ),
        body,
      ]),
    });

    const answer = await world.fetch('/');

    assert.equal(answer.status, 203);
    assert.deepEqual(answer.headers.getAll('set-cookie'), ['a=1', 'b=2']);
    assert.equal(answer.headers.get('content-length'), String(body.length));
    assert.ok(answer.body.equals(body));
    const [asked] = world.peer.requests;
    assert.deepEqual(
      [asked!.method, asked!.target, String(asked!.body)],
      ['PUT', '/other', 'sent'],
    );
    assert.equal(asked!.headers.get('host'), 'proxy.test');
  });

  test('runs through the filters and phases of its service, with a context of its own', async () => {
    const seen: string[] = [];
    const filter = {
      name: 'first',
      requestFilter: ({ request }: Session) => void seen.push(`filter ${request.target}`),
    };
    interface Ctx {
      number: number;
    }
    let contexts = 0;
    const proxy: ProxyHttp<Ctx> = {
      newCtx: () => ({ number: ++contexts }),
      upstreamPeer: () => peer,
      requestFilter(session) {
        const { parent, ctx, request, requestId } = session;
        seen.push(`${request.target} ${ctx.number} ${String(parent?.value)} ${parent?.depth}`);
        if (parent !== undefined) return undefined;
        return session.subrequest({ path: '/inner', value: requestId === parent ? '' : 'along' });
      },
      responseFilter: (_session, { headers }) => void headers.set('x-filtered', 'once'),
      logging: ({ request }) => void seen.push(`logged ${request.target}`),
    };
    await using world = await testProxy(withFilters([filter], proxy));

    const answer = await world.fetch('/outer');

    assert.deepEqual(answer.headers.getAll('x-filtered'), ['once']);
    assert.deepEqual(seen, [
      'filter /outer',
      '/outer 1 undefined undefined',
      'filter /inner',
      '/inner 2 along 1',
      'logged /inner',
      'logged /outer',
    ]);
  });

  test('has a line of its own in the access log, and figures apart from those of clients', async () => {
    await using world = await testProxy(answering({ path: '/inner' }));

    await world.fetch('/outer');

    const [inner, outer] = [entryOf(world, '/inner'), entryOf(world, '/outer')];
    assert.equal(inner!.subrequestOf, outer!.requestId);
    assert.equal(outer!.subrequestOf, undefined);
    assert.deepEqual([inner!.status, inner!.upstream], [200, peer.address]);
    assert.equal(await world.metric('sluice_requests_total{service="proxy",status="200"}'), 1);
    assert.equal(await world.metric('sluice_requests_in_flight{service="proxy"}'), 0);
    assert.equal(await world.metric('sluice_subrequests_total{service="proxy"}'), 1);
  });

  test('speaks for the client, whom a trusted proxy has vouched for', async () => {
    const settings = { ...connectionDefaults(), trusted_proxies: ['203.0.113.1'] };
    const service = new HttpProxyService('proxy', answering({ path: '/inner' }), { settings });
    await using world = await testProxy(service);

    await world.fetch('/', { headers: { 'x-forwarded-for': '198.51.100.7' } });

    assert.equal(world.peer.requests[0]!.headers.get('x-forwarded-for'), '198.51.100.7');
    assert.equal(entryOf(world, '/inner')!.client, '198.51.100.7');
  });

  test('takes along no field about the client’s connection or body', async () => {
    await using world = await testProxy(
      answering(({ request: { headers } }) => ({ path: '/inner', headers })),
    );

    const headers = { connection: 'x-private', 'x-private': '1', 'x-kept': '1' };
    await world.fetch('/', { method: 'POST', headers, body: 'not of the subrequest' });

    const [asked] = world.peer.requests;
    assert.deepEqual(
      ['content-length', 'x-private', 'x-kept'].map((name) => asked!.headers.get(name)),
      [undefined, undefined, '1'],
    );
    assert.equal(asked!.body.length, 0);
  });

  test('goes by the routes of a dispatch', async () => {
    await using world = await testProxy(
      dispatch([
        { match: { path: '/auth' }, proxy: { upstreamPeer: () => authority } },
        { proxy: answering({ path: '/auth' }) },
      ]),
    );
    world.peerAt(authority.address).answer({ body: 'from the authority' });

    assert.equal((await world.fetch('/')).text, 'from the authority');
  });

  test('that fails has an answer like any other', async () => {
    await using world = await testProxy(answering({ path: '/inner' }));
    world.peer.connects = 'refuse';

    assert.equal((await world.fetch('/')).status, 502);

    assert.equal(entryOf(world, '/inner')!.error!.code, 'upstream/connect-refused');
    assert.equal(entryOf(world, '/')!.error, undefined);
  });

  test('that is cut in its body cuts the answer that it was to be', async () => {
    await using world = await testProxy(answering({ path: '/inner' }));
    world.peer.answer({ raw: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf' });

    await assert.rejects(world.fetch('/'), { code: 'ECONNRESET' });

    assert.equal(entryOf(world, '/inner')!.error!.code, 'upstream/closed');
    assert.equal(entryOf(world, '/')!.error!.code, 'internal/subrequest-failed');
  });

  test('ends with the request, if nobody has read its answer', async () => {
    await using world = await testProxy({
      ...toPeer,
      async requestFilter(session) {
        if (session.parent !== undefined) return undefined;
        const { status } = await session.subrequest({ path: '/inner' });
        return session.respondJson(200, status);
      },
    });
    world.peer.answer({ body: Buffer.alloc(2_000_000) });

    assert.equal((await world.fetch('/')).text, '200\n');
    await world.clock.advance(0);

    assert.equal(entryOf(world, '/inner')!.error!.code, 'downstream/closed');
  });

  test('ends when its own time is up', async () => {
    await using world = await testProxy(answering({ path: '/inner', timeoutMs: 1_000 }));
    world.peer.answer('hang');

    const answer = world.fetch('/');
    await world.peer.received();
    await world.clock.advance(1_000);

    assert.equal((await answer).status, 504);
    assert.equal(entryOf(world, '/inner')!.error!.code, 'internal/subrequest-timeout');
  });

  test('ends when the time of the phase that waits for it is up', async () => {
    await using world = await testProxy(answering({ path: '/inner' }), { phaseTimeoutMs: 1_000 });
    world.peer.answer('hang');

    const answer = world.fetch('/');
    await world.peer.received();
    await world.clock.advance(2_000);

    assert.equal((await answer).status, 504);
    assert.equal(entryOf(world, '/')!.error!.code, 'internal/phase-timeout');
    assert.equal(entryOf(world, '/inner')!.error!.code, 'downstream/closed');
  });

  test('that makes itself again is stopped, and the log says what it was', async () => {
    await using world = await testProxy({
      ...toPeer,
      requestFilter: (session) => session.subrequest({ path: '/again' }),
    });

    assert.equal((await world.fetch('/')).status, 500);

    assert.equal(world.accessLog.length, 6);
    const failed = world.log.find(({ level }) => level === 'error');
    const { code, message } = failed!['err'] as ProxyError;
    assert.equal(code, 'internal/subrequest-limit');
    assert.match(message, /expected subrequests nested at most 5 deep, got one more: GET \/again$/);
  });

  test('is one of so many of a request', async () => {
    await using world = await testProxy({
      ...toPeer,
      async requestFilter(session) {
        if (session.parent !== undefined) return session.respondJson(200, 'made');
        for (let n = 1; ; n++) {
          try {
            await session.subrequest({ path: '/inner' });
          } catch (thrown) {
            return session.respondJson(200, `${(thrown as ProxyError).message}, number ${n}`);
          }
        }
      },
    });

    const { text } = await world.fetch('/');

    assert.match(text, /subrequest-limit: expected subrequests at most 64 of .*, number 65"/);
  });

  test('cannot begin when the request has ended, as it has in logging', async () => {
    await using world = await testProxy({
      ...toPeer,
      async logging(session) {
        if (session.parent !== undefined) return;
        void session.subrequest({ path: '/not-waited-for' });
        await session.subrequest({ path: '/inner' });
      },
    });

    assert.equal((await world.fetch('/')).status, 200);

    const failed = world.log.find(({ level }) => level === 'error');
    assert.equal(failed!['phase'], 'logging');
    assert.match((failed!['err'] as Error).message, /subrequestInBackground goes on$/);
  });

  const nonsense: readonly { init: SubrequestInit; says: RegExp }[] = [
    { init: { path: 'auth' }, says: /expected a path such as "\/auth", got "auth"/ },
    {
      init: { path: '/', timeout: 5 } as SubrequestInit,
      says: /subrequest: unknown option "timeout"; did you mean "timeoutMs"\?/,
    },
    { init: { path: '/a b' }, says: /expected a path/ },
    { init: { path: '/a\r\nX: y' }, says: /expected a path/ },
    { init: { path: '/a#b' }, says: /expected a path/ },
    { init: { path: '/', method: 'GET /x' }, says: /expected a method, got "GET \/x"/ },
    { init: { path: '/', headers: { 'x-a': 'b\r\nc: d' } }, says: /x-a|control/ },
  ];
  for (const { init, says } of nonsense) {
    test(`is refused where it could not be meant: ${JSON.stringify(init)}`, async () => {
      await using world = await testProxy(answering(init));

      assert.equal((await world.fetch('/')).status, 500);

      const failed = world.log.find(({ level }) => level === 'error');
      assert.match((failed!['err'] as Error).message, says);
      assert.equal(world.peer.requests.length, 0);
    });
  }

  test('cannot be a CONNECT, nor leave the root', async () => {
    for (const [init, status] of [
      [{ method: 'CONNECT', path: '/' }, 405],
      [{ path: '/../etc' }, 400],
    ] as const) {
      await using world = await testProxy(answering(init));
      assert.equal((await world.fetch('/')).status, status);
    }
  });

  test('nobody waits for any more is no reason to end', async () => {
    await using world = await testProxy({
      ...toPeer,
      requestFilter(session) {
        if (session.parent !== undefined) return undefined;
        void session.subrequest({ path: '/inner' });
        return session.respondJson(200, 'at once');
      },
    });
    world.peer.answer('hang');

    assert.equal((await world.fetch('/')).text, '"at once"\n');
    await world.clock.advance(0);

    assert.equal(entryOf(world, '/inner')!.error!.code, 'downstream/closed');
  });
});

describe('a subrequest in the background', () => {
  /** @param started what `subrequestInBackground` returned */
  const sending = (started: boolean[], init: SubrequestInit = { path: '/inner' }): ProxyHttp => ({
    ...toPeer,
    requestFilter(session) {
      if (session.parent !== undefined) return undefined;
      started.push(session.subrequestInBackground(init));
      return session.respondJson(200, 'at once');
    },
  });

  test('goes on when the request has ended and the client has left', async () => {
    const started: boolean[] = [];
    await using world = await testProxy(sending(started, { path: '/inner', body: 'sent' }));
    world.peer.answer({ body: Buffer.alloc(2_000_000), delayMs: 5_000 });

    assert.equal((await world.fetch('/')).text, '"at once"\n');
    await world.peer.received();
    assert.equal(entryOf(world, '/inner'), undefined);
    await world.clock.advance(5_000);

    const { status, bytesSent, bytesReceived, error, subrequestOf } = entryOf(world, '/inner')!;
    assert.deepEqual([status, bytesSent, bytesReceived, error], [200, 2_000_000, 4, undefined]);
    assert.equal(subrequestOf, entryOf(world, '/')!.requestId);
    assert.deepEqual(started, [true]);
  });

  for (const [what, init, ms] of [
    ['30 s', { path: '/inner' }, 30_000],
    ['its own time', { path: '/inner', timeoutMs: 2_000 }, 2_000],
  ] as const) {
    test(`ends after ${what}, and the log says so`, async () => {
      await using world = await testProxy(sending([], init));
      world.peer.answer('hang');

      await world.fetch('/');
      await world.peer.received();
      await world.clock.advance(ms - 500);
      assert.equal(entryOf(world, '/inner'), undefined);
      await world.clock.advance(1_000);

      assert.equal(entryOf(world, '/inner')!.error!.code, 'internal/subrequest-timeout');
      const failed = world.log.find(({ msg }) => msg === 'request failed');
      assert.match((failed!['err'] as Error).message, new RegExp(`not complete within ${ms} ms`));
    });
  }

  test('is one of so many, and one line tells of those that were too many', async () => {
    const started: boolean[] = [];
    await using world = await testProxy(sending(started));
    world.peer.answer('hang');
    const client = world.client();

    for (let n = 0; n < 258; n++) await client.fetch('/');

    assert.deepEqual(started.indexOf(false), 256);
    await world.clock.advance(1_000);
    const lines = world.log.filter(({ msg }) => msg?.startsWith('subrequests in the background'));
    assert.deepEqual(
      lines.map(({ refused, running }) => [refused, running]),
      [[2, 256]],
    );
    await world.clock.advance(30_000);
    await client.fetch('/');
    assert.equal(started.at(-1), true);
  });

  test('cannot make itself again for ever', async () => {
    await using world = await testProxy({
      ...toPeer,
      requestFilter(session) {
        session.subrequestInBackground({ path: '/again' });
        return session.respondJson(200, 'made');
      },
    });

    assert.equal((await world.fetch('/')).status, 200);

    assert.equal(world.accessLog.filter(({ target }) => target === '/again').length, 5);
    assert.equal(world.log.filter(({ level }) => level === 'error').length, 1);
  });

  test('keeps a worker that drains until it has ended, and is cut with the rest', async () => {
    const world = await testProxy(sending([]));
    world.peer.answer('hang');
    await world.fetch('/');
    await world.peer.received();

    await world.close();

    assert.match(entryOf(world, '/inner')!.error!.message, /the worker is stopping/);
  });
});

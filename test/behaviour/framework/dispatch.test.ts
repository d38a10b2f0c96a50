import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dispatch, HttpPeer, withFilters, type DispatchRoute, type ProxyHttp } from 'sluice';
import { testProxy } from 'sluice/testing';

const api: ProxyHttp<{ tenant: string }> = {
  newCtx: () => ({ tenant: 'none' }),
  requestFilter(session) {
    session.ctx.tenant = session.request.headers.get('x-tenant') ?? 'guest';
  },
  upstreamPeer: () => new HttpPeer('10.0.0.1:80'),
  responseFilter(session, response) {
    response.headers.set('x-tenant', session.ctx.tenant);
  },
  persistConnectionContext: (session) => session.ctx.tenant,
  onConnectionReuse(session, kept) {
    session.log.info({ kept }, 'reuse in api');
  },
};

class Pages implements ProxyHttp<number> {
  #made = 0;

  newCtx() {
    this.#made += 1;
    return this.#made;
  }
  upstreamPeer() {
    return new HttpPeer('10.0.0.2:80');
  }
  responseBodyFilter(_session: unknown, piece: Buffer) {
    return piece.toString().toUpperCase();
  }
  persistConnectionContext() {
    return 'pages';
  }
  onConnectionReuse() {
    throw new Error('gets what another proxy has kept');
  }
}

const admin: ProxyHttp = {
  connectionFilter: ({ client }) => (client.address === '10.6.6.6' ? 'refuse' : undefined),
  requestFilter: (session) => session.respondJson(200, { admin: true }),
  upstreamPeer: () => new HttpPeer('10.0.0.3:80'),
};

const LONG = 'hello '.repeat(4_000);

const routes: DispatchRoute[] = [
  { match: { path: '/api/*', methods: ['GET', 'POST'] }, proxy: api },
  {
    match: { host: 'admin.example.com' },
    proxy: dispatch([{ match: { path: '/' }, proxy: admin }]),
  },
  { match: { path: '/pages/*' }, proxy: new Pages() },
];

describe('a dispatch', () => {
  test('runs a request through the phases and the context of the proxy that its route names', async () => {
    await using world = await testProxy(dispatch(routes));
    const headers = { 'content-length': String(LONG.length) };
    for (const address of ['10.0.0.1:80', '10.0.0.2:80'])
      world.peerAt(address).answer({ headers, body: LONG });

    const fromApi = await world.fetch('/api/a', { headers: { 'x-tenant': 'north' } });
    assert.equal(fromApi.headers.get('x-tenant'), 'north');
    // Only proxies that filter bodies make the length of a long one unknown.
    assert.ok(fromApi.headers.has('content-length'));
    const page = await world.fetch('/pages/a');
    assert.equal(page.text, LONG.toUpperCase());
    assert.ok(!page.headers.has('content-length'));
    const inner = await world.fetch('/', { headers: { host: 'admin.example.com' } });
    assert.deepEqual(JSON.parse(inner.text), { admin: true });
  });

  test('goes by the normal form of the path, and answers 404 where no route matches', async () => {
    await using world = await testProxy(dispatch(routes));

    assert.equal((await world.fetch('/pages/../api/%61')).status, 200);
    assert.equal(world.peer.requests[0]!.target, '/api/a');
    const wrong = ['/elsewhere', '/apis', '/pages/../other'];
    for (const path of wrong) assert.equal((await world.fetch(path)).status, 404, path);
    assert.equal((await world.fetch('/api/a', { method: 'DELETE' })).status, 404);
    assert.equal((await world.fetch('/x', { headers: { host: 'admin.example.com' } })).status, 404);
    assert.equal((await world.fetch('/%zz')).status, 400);
    const line = world.log.find(({ msg }) => msg === 'no route matches');
    assert.match(JSON.stringify(line), /GET \/elsewhere/);
  });

  test('gives a proxy of what was kept on a connection only its own', async () => {
    await using world = await testProxy(dispatch(routes));
    const client = world.client();
    const kept = () =>
      world.log.filter(({ msg }) => msg === 'reuse in api').map((line) => line['kept']);

    await client.fetch('/api/1', { headers: { 'x-tenant': 'north' } });
    await client.fetch('/pages/1');
    await client.fetch('/api/2', { headers: { 'x-tenant': 'south' } });
    assert.deepEqual(kept(), []);
    await client.fetch('/api/3');
    assert.deepEqual(kept(), ['south']);
  });

  test('takes filters in front of all its proxies, and of its 404', async () => {
    const seen: string[] = [];
    let connections = 0;
    class Watch {
      readonly name = 'watch';
      #count = 0;
      connectionFilter() {
        connections += 1;
      }
      logging(session: { status: number }) {
        this.#count += 1;
        seen.push(`${this.#count}: ${session.status}`);
      }
    }
    await using world = await testProxy(withFilters([new Watch()], dispatch(routes)));
    const client = world.client();
    for (const path of ['/api/a', '/pages/a', '/elsewhere', '/%zz']) await client.fetch(path);

    assert.deepEqual(seen, ['1: 200', '2: 200', '3: 404', '4: 400']);
    assert.equal(connections, 1);
  });

  test('lets every proxy look at a connection', async () => {
    await using world = await testProxy(dispatch(routes));

    await assert.rejects(world.fetch('/api/a', { address: '10.6.6.6' }));
  });

  const wrong: { routes: object[]; says: RegExp }[] = [
    { routes: [], says: /at least one route/ },
    { routes: [{ match: { path: 'api' } }], says: /route 0: .*begins with \/, got "api"/ },
    { routes: [{ match: { path: '/a*b' } }], says: /a path such as \/a\/\*, got "\/a\*b"/ },
    { routes: [{ match: { host: 'a.*.b' } }], says: /got "a\.\*\.b"/ },
    {
      routes: [{}, { match: { methods: ['get'] } }],
      says: /route 1: expected methods in capitals/,
    },
    { routes: [{ match: { pth: '/' } }], says: /unknown option "pth"; did you mean "path"/ },
  ];
  for (const { routes: given, says } of wrong) {
    test(`refuses ${JSON.stringify(given)}`, () => {
      const made = given.map((route) => ({ ...route, proxy: api }));
      assert.throws(() => dispatch(made), { name: 'TypeError', message: says });
    });
  }
});

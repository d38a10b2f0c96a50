/** Clients that stay with the peer that answered them first. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LoadBalancer, StickyCookie, TcpHealthCheck } from 'sluice';
import type { PeerSpec, ProxyHttp, StickyCookieOptions } from 'sluice';
import { testProxy } from 'sluice/testing';
import { eventually, startPeer, startSluice } from '../../support/index.ts';

const SECRET = 'a secret of some length';
const [A, B, C] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] as const;

async function stickyWorld(
  options: Partial<StickyCookieOptions> = {},
  peers: readonly (string | PeerSpec)[] = [A, B, C],
) {
  const world = await testProxy((): ProxyHttp => {
    const balancer = new LoadBalancer(peers, {
      name: 'app',
      healthCheck: new TcpHealthCheck(),
      healthCheckFrequencyMs: 1_000,
    });
    const sticky = new StickyCookie(balancer, { secrets: [SECRET], ...options });
    return {
      upstreamPeer: (session) => sticky.peerOf(session) ?? balancer.select(),
      responseFilter: (session, response) => sticky.mark(session, response),
    };
  });
  const origins = [A, B, C].map((address) => ({ address, origin: world.peerAt(address) }));
  const ask = async (cookie?: string, tls?: { sni: string }) => {
    const headers = cookie === undefined ? {} : { cookie };
    const counts = new Map(origins.map(({ origin }) => [origin, origin.requests.length]));
    const answer = await world.fetch('/', { headers, ...(tls && { tls }) });
    const setCookie = answer.headers.get('set-cookie');
    const asked = origins.find(({ origin }) => origin.requests.length > counts.get(origin)!);
    return { peer: asked?.address, setCookie, cookie: setCookie?.split(';')[0] };
  };
  return { world, ask, [Symbol.asyncDispose]: () => world.close() };
}

describe('a sticky cookie', () => {
  test('keeps a client with its peer, and is set once', async () => {
    await using sticky = await stickyWorld();
    const first = await sticky.ask();
    assert.notEqual(first.peer, undefined);

    for (let nth = 0; nth < 9; nth++) {
      const next = await sticky.ask(`theme=dark; ${first.cookie}`);
      assert.deepEqual([next.peer, next.setCookie], [first.peer, undefined]);
    }
  });

  test('is not for scripts, nor for other sites, and over TLS not for plain connections', async () => {
    await using sticky = await stickyWorld({ cookie: 'app', maxAgeMs: 3_600_000 });
    const attributes = 'Path=/; Max-Age=3600; HttpOnly; SameSite=Lax';

    const { setCookie } = await sticky.ask();
    assert.match(setCookie!, new RegExp(`^app=[\\w-]{22}; ${attributes}$`));
    const overTls = await sticky.ask(undefined, { sni: 'app.test' });
    assert.match(overTls.setCookie!, new RegExp(`; ${attributes}; Secure$`));
  });

  test('says nothing about the peer, and cannot be made without the secret', async () => {
    await using sticky = await stickyWorld();
    const { cookie } = await sticky.ask();
    assert.doesNotMatch(cookie!, /10\.0/);

    for (const forged of [A, 'AAAAAAAAAAAAAAAAAAAAAA', '', `${cookie!.split('=')[1]}x`]) {
      const peers = new Set<unknown>();
      for (let nth = 0; nth < 3; nth++) {
        const { peer, setCookie } = await sticky.ask(`sluice-peer=${forged}`);
        assert.notEqual(setCookie, undefined, 'a good one takes its place');
        peers.add(peer);
      }
      assert.equal(peers.size, 3, forged);
    }
  });

  test('of an older secret is believed, and renewed', async () => {
    await using before = await stickyWorld({ secrets: ['the secret of last year'] });
    const { cookie, peer } = await before.ask();
    await before.world.close();
    await using after = await stickyWorld({ secrets: [SECRET, 'the secret of last year'] });

    const renewed = await after.ask(cookie);
    assert.equal(renewed.peer, peer);
    assert.notEqual(renewed.cookie, cookie);
    const next = await after.ask(renewed.cookie);
    assert.deepEqual([next.peer, next.setCookie], [peer, undefined]);
  });

  test('leads to another peer while its own is ill, and stays there', async () => {
    await using sticky = await stickyWorld();
    const { world, ask } = sticky;
    const first = await ask();
    world.peerAt(first.peer!).connects = 'refuse';
    world.peerAt(first.peer!).dropConnections();
    await world.clock.advance(1_100);

    const second = await ask(first.cookie);
    assert.notEqual(second.peer, first.peer);
    world.peerAt(first.peer!).connects = 'accept';
    await world.clock.advance(1_100);
    assert.equal((await ask(second.cookie)).peer, second.peer);
  });

  test('does not keep a client with a backup', async () => {
    await using sticky = await stickyWorld({}, [A, { address: B, priority: 1 }]);
    const { world, ask } = sticky;
    world.peerAt(A).connects = 'refuse';
    world.peerAt(A).dropConnections();
    await world.clock.advance(1_100);
    const { peer, cookie } = await ask();
    assert.equal(peer, B);
    assert.equal((await ask(cookie)).peer, B);

    world.peerAt(A).connects = 'accept';
    await world.clock.advance(1_100);
    assert.equal((await ask(cookie)).peer, A);
  });

  const wrong: readonly [StickyCookieOptions, RegExp][] = [
    [{ secrets: [] }, /secrets: expected 1 to 8/],
    [{ secrets: ['short'] }, /secrets: expected 16 characters or more/],
    [{ secrets: [SECRET], cookie: 'a b' }, /cookie: expected a name such as "peer", got "a b"/],
    [{ secrets: [SECRET], maxAgeMs: 5 }, /maxAgeMs: expected 1000 or more, got 5/],
  ];
  for (const [options, message] of wrong) {
    test(`is refused with ${message.source}`, () => {
      const balancer = { peers: [], onUpdate: () => {} } as unknown as LoadBalancer;
      assert.throws(() => new StickyCookie(balancer, options), { name: 'TypeError', message });
    });
  }
});

test('a cookie of one worker is good for all, and weight 0 keeps who is there', async (t) => {
  const peers = await Promise.all([1, 2, 3].map(() => startPeer(t)));
  const upstream = (weight: number) => `
    upstreams:
      app:
        sticky: { secrets: [${SECRET}], cookie: app }
        peers: ['${peers[0]!.address}', '${peers[1]!.address}', { address: '${peers[2]!.address}', weight: ${weight} }]
    services:
      - { name: edge, listen: [127.0.0.1:0], routes: [{ upstream: app }] }
  `;
  const sluice = await startSluice(t, upstream(1), { threads: 2 });
  const third = `hello from ${peers[2]!.port}`;
  const cookie = await eventually(async () => {
    const { body, headers } = await sluice.get('/');
    return body === third ? headers['set-cookie']![0]!.split(';')[0] : undefined;
  }, 'an answer of the third peer');
  for (let nth = 0; nth < 20; nth++)
    assert.equal((await sluice.get('/', { headers: { cookie } })).body, third);

  sluice.configure(upstream(0));
  assert.equal((await sluice.reload()).kind, 'done');
  for (let nth = 0; nth < 10; nth++) {
    assert.equal((await sluice.get('/', { headers: { cookie } })).body, third);
    assert.notEqual((await sluice.get('/')).body, third);
  }
});

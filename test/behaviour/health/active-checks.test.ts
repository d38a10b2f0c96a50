import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpHealthCheck, LoadBalancer, type HttpHealthCheckOptions } from 'sluice';
import { testProxy, type PeerAnswer, type PeerScript, type ReceivedRequest } from 'sluice/testing';

const ONE = '10.0.0.1:80';
const TWO = '10.0.0.2:80';

/** Two peers, probed every second. */
function probed(check: HttpHealthCheckOptions, peers = [ONE, TWO]) {
  return testProxy(() => {
    const balancer = new LoadBalancer(peers, {
      name: 'app',
      healthCheck: new HttpHealthCheck({ timeoutMs: 500, ...check }),
      healthCheckFrequencyMs: 1_000,
    });
    return { upstreamPeer: () => balancer.select() };
  });
}

type World = Awaited<ReturnType<typeof probed>>;

const isProbe = ({ headers }: ReceivedRequest) =>
  headers.get('user-agent') === 'sluice-health-check';

const probesOf = (world: World, address: string) =>
  world.peer.requests.filter((each) => isProbe(each) && each.peer === address);
const requestsOf = (world: World, address: string) =>
  world.peer.requests.filter((each) => !isProbe(each) && each.peer === address);

/** Answers to probes, by the peer that gives them; everything else is fine. */
const toProbes =
  (answers: Readonly<Record<string, PeerAnswer>>, others: PeerAnswer = {}): PeerScript =>
  (request) =>
    isProbe(request) ? (answers[request.peer] ?? others) : {};

const flips = (world: World) =>
  world.log
    .filter(({ msg }) => msg.startsWith('peer became'))
    .map(({ msg, peer, reason }) => ({ msg, peer, reason }));

describe('a peer that is asked over HTTP whether it is well', () => {
  test('is asked at once, and again after the interval', async () => {
    await using world = await probed({ path: '/healthz?deep=1' });
    await world.clock.advance(0);
    const [first, ...others] = probesOf(world, ONE);
    assert.equal(others.length, 0);
    assert.equal(first!.target, '/healthz?deep=1');
    assert.equal(first!.method, 'GET');
    assert.equal(first!.headers.get('host'), ONE);

    await world.clock.advance(850);
    assert.equal(probesOf(world, ONE).length, 1);
    await world.clock.advance(250);
    assert.equal(probesOf(world, ONE).length, 2);
  });

  test('sees the method, the host and the headers that the check names', async () => {
    await using world = await probed({
      method: 'OPTIONS',
      host: 'api.internal',
      headers: { 'x-probe': 'yes', 'user-agent': 'sluice-health-check' },
    });
    await world.clock.advance(0);
    const [probe] = probesOf(world, ONE);
    assert.equal(probe!.method, 'OPTIONS');
    assert.equal(probe!.headers.get('host'), 'api.internal');
    assert.equal(probe!.headers.get('x-probe'), 'yes');
    assert.equal(probe!.headers.getAll('user-agent').length, 1);
  });

  const failing: readonly {
    readonly name: string;
    readonly check?: HttpHealthCheckOptions;
    readonly answer: PeerAnswer;
    readonly reason: RegExp;
  }[] = [
    {
      name: 'answers with a status that is not expected',
      answer: { status: 503 },
      reason: /^expected a status of 200-399, got 503$/,
    },
    {
      name: 'answers with a status that is outside of what the check names',
      check: { statuses: [200, '204-206'] },
      answer: { status: 207 },
      reason: /^expected a status of 200, 204-206, got 207$/,
    },
    {
      name: 'lacks the text in its body',
      check: { body: 'hello' },
      answer: { body: '{"ok":false}\n' },
      reason: /^expected hello in the body, got "\{\\"ok\\":false\}\\n"$/,
    },
    {
      name: 'has a body that the pattern does not match',
      check: { body: /^hello from .+$/gm },
      answer: { body: '' },
      reason: /^expected \/\^hello from \.\+\$\/m in the body, got ""$/,
    },
    {
      name: 'says nothing in time',
      answer: 'hang',
      reason: /^no answer within 500 ms$/,
    },
    { name: 'closes without an answer', answer: 'close', reason: /closed before its response/ },
    { name: 'resets the connection', answer: 'reset', reason: /closed before its response/ },
    { name: 'does not speak HTTP', answer: { raw: 'SSH-2.0-x\r\n' }, reason: /status line/ },
  ];
  for (const { name, check = {}, answer, reason } of failing) {
    test(`and ${name}, is ill, and gets no requests`, async () => {
      await using world = await probed(check);
      const fine: PeerAnswer = { body: 'hello from here' };
      world.peer.answer(toProbes({ [ONE]: answer }, fine));
      await world.clock.advance(1_700);

      const flip = flips(world).findLast(({ peer }) => peer === ONE);
      assert.equal(flip?.msg, 'peer became ill');
      assert.match(String(flip.reason), reason);
      for (let nth = 0; nth < 4; nth++) await world.fetch('/');
      assert.equal(requestsOf(world, ONE).length, 0);

      world.peer.answer(toProbes({}, fine));
      await world.clock.advance(1_100);
      for (let nth = 0; nth < 4; nth++) await world.fetch('/');
      assert.equal(requestsOf(world, ONE).length, 2);
    });
  }

  const passing: readonly {
    readonly name: string;
    readonly check: HttpHealthCheckOptions;
    readonly answer: PeerAnswer;
  }[] = [
    { name: 'a redirection', check: {}, answer: { status: 302 } },
    { name: 'one of its statuses', check: { statuses: [404] }, answer: { status: 404 } },
    { name: 'its text', check: { body: 'ok' }, answer: { body: 'all is ok here' } },
    {
      name: 'its text at the beginning of a body without end',
      check: { body: 'ok' },
      answer: { raw: `HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nok${'.'.repeat(70_000)}` },
    },
    {
      name: 'no body, for HEAD',
      check: { method: 'HEAD' },
      answer: { headers: { 'content-length': '5' } },
    },
  ];
  for (const { name, check, answer } of passing) {
    test(`and answers with ${name}, is well`, async () => {
      await using world = await probed(check);
      world.peer.answer(toProbes({}, answer));
      await world.clock.advance(1_100);
      for (const address of [ONE, TWO]) {
        const last = flips(world).findLast(({ peer }) => peer === address);
        assert.equal(last?.msg, 'peer became healthy');
      }
    });
  }

  test('is not read beyond 64 KiB', async () => {
    await using world = await probed({ body: 'hello' });
    world.peer.answer(toProbes({ [ONE]: { body: `${'.'.repeat(70_000)}hello` } }));
    await world.clock.advance(1_100);
    const flip = flips(world).findLast(({ peer }) => peer === ONE);
    assert.match(String(flip!.reason), /^expected hello in the first 65536 bytes of the body/);
  });

  test('is asked on the port that the check names', async () => {
    await using world = await probed({ port: 9_000 });
    world.peer.answer(toProbes({ '10.0.0.1:9000': { status: 500 } }));
    await world.clock.advance(1_100);
    assert.equal(probesOf(world, '10.0.0.1:9000')[0]!.headers.get('host'), '10.0.0.1:9000');
    assert.equal(flips(world).findLast(({ peer }) => peer === ONE)?.msg, 'peer became ill');
    assert.equal(probesOf(world, ONE).length, 0);
  });

  test('is asked on one connection, if the check says so, and on another when that is gone', async () => {
    await using world = await probed({ keepAlive: true }, [ONE]);
    let made = 0;
    const accept = world.peer.accept.bind(world.peer);
    world.peer.accept = (...given) => {
      made += 1;
      accept(...given);
    };
    await world.clock.advance(5_000);
    assert.ok(probesOf(world, ONE).length >= 5);
    assert.equal(made, 0, 'since the first probe');

    world.peer.dropConnections();
    await world.clock.advance(3_300);
    assert.equal(made, 1);
    assert.equal(flips(world).length, 1, 'it was well all the time');
  });
});

describe('a thousand peers', () => {
  test('are asked a few at a time, and none is forgotten', async () => {
    const addresses = Array.from({ length: 1_000 }, (_, at) => `10.1.${at >> 8}.${at & 255}:80`);
    await using world = await probed({}, addresses);
    assert.equal(new Set(world.peer.requests.map(({ peer }) => peer)).size, 1_000);

    world.peer.answer('hang');
    world.peer.requests.length = 0;
    await world.clock.advance(1_100);
    assert.equal(world.peer.requests.length, 64);
    await world.clock.advance(500 * Math.ceil(1_000 / 64));
    assert.equal(new Set(world.peer.requests.map(({ peer }) => peer)).size, 1_000);
  });

  test('that say nothing do not keep those of another upstream from being asked', async () => {
    const many = Array.from({ length: 500 }, (_, at) => `10.1.${at >> 8}.${at & 255}:80`);
    await using world = await testProxy(() => {
      const options = { healthCheckFrequencyMs: 1_000 };
      const healthCheck = new HttpHealthCheck({ timeoutMs: 500 });
      const dead = new LoadBalancer(many, { name: 'dead', healthCheck, ...options });
      const live = new LoadBalancer([ONE], { name: 'live', healthCheck, ...options });
      return { upstreamPeer: ({ attempts }) => (attempts > 1 ? dead : live).select() };
    });
    world.peer.answer('hang');
    world.peer.requests.length = 0;
    await world.clock.advance(6_000);
    const { length } = probesOf(world, ONE);
    assert.ok(length >= 4, `${length} probes in 6 s`);
  });
});

describe('an HTTP health check that cannot be meant', () => {
  const wrong: readonly { readonly options: HttpHealthCheckOptions; readonly says: RegExp }[] = [
    { options: { path: 'healthz' }, says: /path: expected .* begins with \/.*, got "healthz"/ },
    { options: { path: '/a b' }, says: /path: expected/ },
    { options: { method: 'get' }, says: /method: expected .* capitals .*, got "get"/ },
    { options: { method: 'CONNECT' }, says: /method: .*CONNECT/ },
    { options: { statuses: [] }, says: /statuses: expected at least one/ },
    { options: { statuses: ['2xx'] }, says: /statuses: expected .*"200-399".*, got "2xx"/ },
    { options: { statuses: ['300-200'] }, says: /statuses: expected/ },
    { options: { statuses: [99] }, says: /statuses: expected/ },
    { options: { method: 'HEAD', body: 'ok' }, says: /body: .*HEAD/ },
    { options: { body: '' }, says: /body: expected/ },
    { options: { port: 0 }, says: /port: expected 1 to 65535, got 0/ },
    { options: { headers: { 'a b': 'c' } }, says: /headers: expected/ },
    { options: { headers: { a: 'b\r\nc' } }, says: /headers: expected/ },
    { options: { timeoutMs: 0 }, says: /timeoutMs: expected/ },
    { options: { consecutiveFailure: 0 }, says: /consecutiveFailure: expected/ },
  ];
  for (const { options, says } of wrong) {
    test(`is refused: ${JSON.stringify(options)}`, () => {
      assert.throws(() => new HttpHealthCheck(options), { name: 'TypeError', message: says });
    });
  }
});

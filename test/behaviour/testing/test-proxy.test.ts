import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { HttpPeer, LoadBalancer, ProxyError, RateLimiter, TcpHealthCheck } from 'sluice';
import { httpService, metrics } from 'sluice';
import type { Discovery, DiscoveryWatcher, ProxyHttp } from 'sluice';
import { testProxy } from 'sluice/testing';

const peer = new HttpPeer('10.0.0.1:8080');
const plain: ProxyHttp = { upstreamPeer: () => peer };

describe('a proxy in a test', () => {
  test('passes a request on, and the answer back', async () => {
    await using world = await testProxy(plain);
    world.peer.answer({ status: 201, headers: { 'x-made': 'yes' }, body: 'made' });

    const init = { method: 'PUT', headers: { 'x-sent': 'a' }, body: 'a thing' };
    const answer = await world.fetch('/things?id=1', init);

    assert.deepEqual([answer.status, answer.text], [201, 'made']);
    assert.equal(answer.headers.get('x-made'), 'yes');
    const [request] = world.peer.requests;
    assert.deepEqual([request?.method, request?.target], ['PUT', '/things?id=1']);
    assert.equal(request?.peer, '10.0.0.1:8080');
    assert.equal(request?.headers.get('x-sent'), 'a');
    assert.equal(String(request?.body), 'a thing');
  });

  test('gives bodies of any size and both directions their time', async () => {
    await using world = await testProxy(plain);
    const body = Buffer.alloc(3_000_000, 'large ');
    world.peer.answer(({ body: received }) => ({ body: received }));

    const answer = await world.fetch('/', { method: 'POST', body });

    assert.ok(answer.body.equals(body));
  });

  test('sees clients where the test puts them, and over what', async () => {
    await using world = await testProxy({
      requestFilter: (session) =>
        session.respondJson(200, [session.clientIp, session.scheme, session.tls?.sni]),
      upstreamPeer: () => peer,
    });
    const tls = { sni: 'shop.test' };

    const answer = await world.fetch('/', { address: '2001:db8::7', tls });

    assert.deepEqual(JSON.parse(answer.text), ['2001:db8::7', 'https', 'shop.test']);
  });

  test('has a log and an access log to look at', async () => {
    await using world = await testProxy({
      upstreamPeer: () => peer,
      logging: ({ log, status }) => log.info({ status }, 'done'),
    });
    world.peer.connects = 'refuse';

    assert.equal((await world.fetch('/lost')).status, 502);

    const done = world.log.find(({ msg }) => msg === 'done');
    assert.equal(done?.['status'], 502);
    const failed = world.log.find(({ level }) => level === 'warn');
    assert.ok(failed?.['err'] instanceof ProxyError);
    const [entry] = world.accessLog;
    assert.deepEqual([entry?.target, entry?.status], ['/lost', 502]);
    assert.equal(entry?.error?.code, 'upstream/connect-refused');
  });

  test('has figures, the program’s own among them', async () => {
    // Twice: the name of the metric is free again.
    for (let round = 0; round < 2; round++) {
      await using world = await testProxy((): ProxyHttp => {
        const seen = metrics.counter({ name: 'seen_total', help: 'Requests seen.' });
        return { upstreamPeer: () => peer, logging: () => seen.add() };
      });

      await world.fetch('/');

      assert.equal(await world.metric('seen_total'), 1);
      assert.equal(await world.metric('sluice_requests_total{service="proxy",status="200"}'), 1);
    }
  });

  test('that cannot be made gives its names back', async () => {
    const limiter = () => new RateLimiter({ name: 'given-back', rate: '1/s', burst: 1 });
    const broken = () => {
      limiter();
      throw new Error('made for the test');
    };
    await assert.rejects(testProxy(broken), /made for the test/);
    await using _ = await testProxy(() => {
      limiter();
      return plain;
    });
  });

  test('can be a plain HTTP service', async () => {
    await using world = await testProxy(httpService((session) => session.respondJson(200, 'hi')));
    assert.equal((await world.fetch('/')).text, '"hi"\n');
  });

  test('keeps what belongs to a connection for a client that keeps it', async () => {
    await using world = await testProxy({
      onConnectionReuse: (session, kept) => session.request.headers.set('x-before', String(kept)),
      persistConnectionContext: ({ request }) => request.target,
      upstreamPeer: () => peer,
    });
    const client = world.client();

    await client.fetch('/first');
    await client.fetch('/second');
    await world.fetch('/third');

    const before = world.peer.requests.map(({ headers }) => headers.get('x-before'));
    assert.deepEqual(before, [undefined, '/first', undefined]);
  });

  test('hears what no client says', async () => {
    await using world = await testProxy(plain);
    const connection = world.connect();
    connection.write('GET / HTTP/1.1\r\nHost : proxy.test\r\n\r\n');

    assert.match(await text(connection), /^HTTP\/1\.1 400 /);
    assert.equal(world.accessLog[0]?.error?.code, 'downstream/malformed-message');
  });

  test('is left by a client in the middle of its request', async () => {
    await using world = await testProxy(plain);
    world.peer.answer('hang');
    const client = world.client();
    const pending = assert.rejects(client.fetch('/'));
    await world.peer.received();

    client.reset();
    await pending;
    await world.clock.advance(0);

    assert.equal(world.accessLog[0]?.status, 0);
  });

  test('turns clients away when its filter of connections says so', async () => {
    await using world = await testProxy({
      connectionFilter: ({ client }) => (client.address === '198.51.100.66' ? 'refuse' : undefined),
      upstreamPeer: () => peer,
    });

    await assert.rejects(world.fetch('/', { address: '198.51.100.66' }), { code: 'ECONNRESET' });
    assert.equal((await world.fetch('/')).status, 200);
  });
});

describe('a scripted peer', () => {
  test('answers in turn, and the last answer for ever', async () => {
    await using world = await testProxy(plain);
    world.peer.answer({ body: 'one' }, ({ target }) => ({ body: target }));

    const texts = [];
    for (const path of ['/a', '/b', '/c']) texts.push((await world.fetch(path)).text);

    assert.deepEqual(texts, ['one', '/b', '/c']);
  });

  const failures = [
    { answer: 'close', status: 502, code: 'upstream/closed' },
    { answer: 'reset', status: 502, code: 'upstream/closed' },
    {
      answer: { raw: 'HTTP/1.1 two hundred\r\n\r\n' },
      status: 502,
      code: 'upstream/malformed-message',
    },
  ] as const;
  for (const { answer, status, code } of failures) {
    test(`that answers ${JSON.stringify(answer)} is seen as ${code}`, async () => {
      await using world = await testProxy(plain);
      world.peer.answer(answer);

      assert.equal((await world.fetch('/')).status, status);
      assert.equal(world.accessLog[0]?.error?.code, code);
    });
  }

  test('that breaks off in the middle of a body breaks the answer off', async () => {
    await using world = await testProxy(plain);
    world.peer.answer({ raw: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf' });

    await assert.rejects(world.fetch('/'));
    assert.equal(world.accessLog[0]?.bytesSent, 4);
  });

  test('that ends its connections is connected to anew', async () => {
    await using world = await testProxy({
      upstreamPeer: () => peer,
      connectedToUpstream: ({ log }, { isReused }) => log.info({ isReused }, 'connected'),
    });
    await world.fetch('/');
    await world.fetch('/');
    world.peer.dropConnections();
    await world.clock.advance(0);
    await world.fetch('/');

    const reused = world.log.map(({ isReused }) => isReused);
    assert.deepEqual(reused, [false, true, false]);
  });
});

describe('the clock of a test', () => {
  test('stands still: what the proxy says took no time', async () => {
    await using world = await testProxy(plain);
    await world.fetch('/');
    assert.equal(world.accessLog[0]?.durationMs, 0);
  });

  const late = [
    { name: 'says nothing', peerDoes: { answers: 'hang' }, afterMs: 60_000 },
    { name: 'cannot be connected to', peerDoes: { connects: 'ignore' }, afterMs: 5_000 },
  ] as const;
  for (const { name, peerDoes, afterMs } of late) {
    test(`gives up a peer that ${name}`, async () => {
      await using world = await testProxy({ ...plain, failToConnect: () => 'give-up' });
      if ('answers' in peerDoes) world.peer.answer(peerDoes.answers);
      else world.peer.connects = peerDoes.connects;
      const pending = world.fetch('/');

      await world.clock.advance(afterMs - 100);
      assert.equal(world.accessLog.length, 0);
      // Deadlines are looked at every 100 ms.
      await world.clock.advance(200);

      assert.equal((await pending).status, 504);
      assert.equal(world.accessLog[0]?.durationMs, afterMs);
    });
  }

  test('brings a late answer in time', async () => {
    await using world = await testProxy(plain);
    world.peer.answer({ delayMs: 1_500, body: 'late' });
    const pending = world.fetch('/');

    await world.clock.advance(1_500);

    assert.equal((await pending).text, 'late');
    assert.equal(world.accessLog[0]?.durationMs, 1_500);
  });

  test('ends a phase that does not end, by name', async () => {
    const stuck: ProxyHttp = {
      requestFilter: () => new Promise(() => {}),
      upstreamPeer: () => peer,
    };
    await using world = await testProxy(stuck, { phaseTimeoutMs: 2_000 });
    const pending = world.fetch('/');

    await world.clock.advance(2_100);

    assert.equal((await pending).status, 504);
    assert.equal(world.log.find(({ level }) => level === 'error')?.['phase'], 'requestFilter');
  });

  test('lets the pause before a retry pass', async () => {
    const retry = { statuses: [503], backOffMs: 1_000, maxBackOffMs: 1_000 };
    await using world = await testProxy(plain, { retry });
    world.peer.answer({ status: 503 }, { status: 200 });
    const pending = world.fetch('/');

    await world.clock.advance(1_000);

    assert.equal((await pending).status, 200);
    assert.equal(world.peer.requests.length, 2);
  });

  test('refills a limit', async () => {
    const limited = (): ProxyHttp => {
      const limiter = new RateLimiter({ name: 'clients', rate: '10/s', burst: 20 });
      return {
        requestFilter: (session) =>
          limiter.check(session.clientIp).allowed ? undefined : session.respondError(429),
        upstreamPeer: () => peer,
      };
    };
    // Twice: each world has limits of its own, and gives their names back.
    for (let round = 0; round < 2; round++) {
      await using world = await testProxy(limited);
      const statuses = async (count: number) => {
        const answers = await Promise.all(Array.from({ length: count }, () => world.fetch('/')));
        return answers.map(({ status }) => status).sort((a, b) => a - b);
      };
      const twenty = Array.from({ length: 20 }, () => 200);
      assert.deepEqual(await statuses(25), [...twenty, 429, 429, 429, 429, 429]);

      await world.clock.advance(100);
      assert.deepEqual(await statuses(2), [200, 429]);
      assert.equal((await world.fetch('/', { address: '203.0.113.2' })).status, 200);
    }
  });

  test('takes an ill peer out of rotation, and brings it back', async () => {
    const [one, two] = ['10.0.0.1:8080', '10.0.0.2:8080'] as const;
    await using world = await testProxy(() => {
      const healthCheck = new TcpHealthCheck();
      const options = { name: 'app', healthCheck, healthCheckFrequencyMs: 1_000 };
      const balancer = new LoadBalancer([one, two], options);
      return { upstreamPeer: () => balancer.select() };
    });
    const ofFour = async () => {
      const before = world.peerAt(one).requests.length;
      for (let n = 0; n < 4; n++) assert.equal((await world.fetch('/')).status, 200);
      return world.peerAt(one).requests.length - before;
    };
    assert.equal(await ofFour(), 2);

    world.peerAt(one).connects = 'refuse';
    world.peerAt(one).dropConnections();
    // Probes come up to a tenth sooner or later than they should.
    await world.clock.advance(1_100);
    assert.equal(await ofFour(), 0);
    assert.ok(world.log.some(({ msg }) => msg === 'peer became ill'));

    world.peerAt(one).connects = 'accept';
    await world.clock.advance(1_100);
    assert.equal(await ofFour(), 2);
  });

  test('uses peers as its discovery finds them, without waiting for the clock', async () => {
    const [one, two] = ['10.0.0.1:8080', '10.0.0.2:8080'] as const;
    let told: DiscoveryWatcher | undefined;
    const discovery: Discovery = {
      source: 'the test',
      async watch(watcher) {
        // As one that asks somebody first.
        await Promise.resolve();
        told = watcher;
        watcher.found([{ address: one }]);
        await watcher.pause(1e9);
      },
    };
    await using world = await testProxy(() => {
      const balancer = new LoadBalancer([], { name: 'app', discovery });
      return { upstreamPeer: () => balancer.select() };
    });
    await world.fetch('/');
    told?.found([{ address: two }]);
    await world.fetch('/');
    told?.failed(new Error('nobody knows'));
    await world.fetch('/');
    assert.deepEqual(
      world.peer.requests.map(({ peer: address }) => address),
      [one, two, two],
    );
  });

  test('serves without peers when its discovery fails at the start', async () => {
    const discovery: Discovery = {
      source: 'the test',
      watch: () => Promise.reject(new Error('nobody knows')),
    };
    await using world = await testProxy(() => {
      const balancer = new LoadBalancer([], { name: 'app', discovery });
      return { upstreamPeer: () => balancer.select() };
    });
    assert.equal((await world.fetch('/')).status, 503);
    assert.ok(world.log.some(({ reason }) => reason === 'nobody knows'));
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LoadBalancer, TcpHealthCheck, type LoadBalancerOptions } from 'sluice';
import { testProxy, type PeerAnswer } from 'sluice/testing';

const ADDRESSES = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];
const [ONE = '', TWO = '', THREE = ''] = ADDRESSES;

/** Three peers, of which each gets every third request. */
function world(options: Partial<LoadBalancerOptions> = {}, peers = ADDRESSES) {
  return testProxy(() => {
    const balancer = new LoadBalancer(peers, { name: 'app', ...options });
    return { upstreamPeer: () => balancer.select() };
  });
}

type World = Awaited<ReturnType<typeof world>>;

/** Never sent twice, so that each failure is one request. */
const post = (to: World) => to.fetch('/', { method: 'POST', body: 'x' });

async function posts(to: World, times: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let nth = 0; nth < times; nth++) statuses.push((await post(to)).status);
  return statuses;
}

const askedOf = (of: World, address: string) => of.peerAt(address).requests.length;
const lines = (of: World) =>
  of.log
    .filter(({ msg }) => /ejec/.test(msg))
    .map(({ msg, peer, reason, forMs }) => ({ msg, peer, reason, forMs }));

const failures: readonly {
  readonly name: string;
  readonly answer: PeerAnswer;
}[] = [
  { name: 'resets the connection', answer: 'reset' },
  { name: 'closes without an answer', answer: 'close' },
  {
    name: 'does not speak HTTP',
    answer: { raw: 'SSH-2.0-x\r\n' },
  },
];

describe('a peer that fails five times in a row', () => {
  for (const { name, answer } of failures) {
    test(`because it ${name} is left alone for 30 s`, async () => {
      await using of = await world();
      for (const each of [TWO, THREE]) of.peerAt(each).answer({});
      of.peerAt(ONE).answer(answer);

      const statuses = await posts(of, 15);
      assert.equal(statuses.filter((status) => status === 502).length, 5);
      assert.deepEqual(await posts(of, 9), Array(9).fill(200));
      const [line, ...others] = lines(of);
      assert.equal(others.length, 0);
      assert.equal(line!.msg, 'peer ejected');
      assert.equal(line!.peer, ONE);
      assert.match(String(line!.reason), /^5 failed requests, the last one with upstream\//);
      assert.equal(line!.forMs, 30_000);

      of.peerAt(ONE).answer({});
      const before = askedOf(of, ONE);
      await of.clock.advance(29_000);
      assert.deepEqual(await posts(of, 3), [200, 200, 200]);
      assert.equal(askedOf(of, ONE), before);
      await of.clock.advance(1_100);
      assert.deepEqual(await posts(of, 3), [200, 200, 200]);
      assert.equal(askedOf(of, ONE), before + 1);
      assert.equal(lines(of)[1]!.msg, 'peer is used again after its ejection');
    });
  }

  test('because it refuses connections is not even tried', async () => {
    await using of = await world();
    of.peerAt(ONE).connects = 'refuse';
    // Another peer takes each of them: nothing was sent yet.
    assert.deepEqual(await posts(of, 30), Array(30).fill(200));
    assert.equal(lines(of).length, 1);
  });

  test('because it says nothing costs its clients a timeout each, and no others', async () => {
    await using of = await world({ peerOptions: { readTimeoutMs: 1_000 } });
    of.peerAt(ONE).answer('hang');
    const asking = Array.from({ length: 15 }, () => post(of));
    await of.clock.advance(1_100);
    const statuses = (await Promise.all(asking)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 504).length, 5);
    assert.deepEqual(await posts(of, 6), Array(6).fill(200));
  });

  test('with an answer in between is used on', async () => {
    await using of = await world();
    for (let round = 0; round < 3; round++) {
      of.peerAt(ONE).answer('reset');
      await posts(of, 12);
      of.peerAt(ONE).answer({ status: 500 });
      await posts(of, 3);
    }
    assert.deepEqual(lines(of), []);
  });

  test('is left alone twice as long the second time', async () => {
    await using of = await world();
    of.peerAt(ONE).answer('reset');
    await posts(of, 15);
    await of.clock.advance(30_100);
    await posts(of, 15);
    assert.deepEqual(
      lines(of)
        .filter(({ msg }) => msg === 'peer ejected')
        .map(({ forMs }) => forMs),
      [30_000, 60_000],
    );
  });

  test('is used on if detection is off', async () => {
    await using off = await world({ outlierDetection: false });
    off.peerAt(ONE).answer('reset');
    await posts(off, 30);
    assert.deepEqual(lines(off), []);
  });

  test('is used on if another one is ejected already', async () => {
    await using of = await world();
    for (const each of [ONE, TWO]) of.peerAt(each).answer('reset');
    await posts(of, 60);
    assert.equal(lines(of).length, 1);
    assert.ok(askedOf(of, ONE) > 5 || askedOf(of, TWO) > 5);
  });

  test('is used on if it is the last one', async () => {
    await using of = await world({}, [ONE]);
    of.peerAt(ONE).answer('reset');
    await posts(of, 12);
    assert.deepEqual(lines(of), []);
    assert.equal(askedOf(of, ONE), 12);
  });

  test('is used again before its time if all others become ill', async () => {
    await using of = await world({
      healthCheck: new TcpHealthCheck(),
      healthCheckFrequencyMs: 1_000,
    });
    await of.clock.advance(0);
    of.peerAt(ONE).answer('reset');
    await posts(of, 15);
    assert.equal(lines(of).length, 1);
    of.peerAt(ONE).answer({});
    for (const each of [TWO, THREE]) of.peerAt(each).connects = 'refuse';
    await of.clock.advance(1_200);
    assert.deepEqual(await posts(of, 3), [200, 200, 200]);
  });
});

describe('responses with a status of 5xx', () => {
  test('eject a peer where that is asked for', async () => {
    await using of = await world({ outlierDetection: { consecutive5xx: 3 } });
    of.peerAt(ONE).answer({ status: 503 });
    await posts(of, 9);
    const [line] = lines(of);
    assert.equal(line!.reason, '3 responses with a status of 5xx');
    assert.deepEqual(await posts(of, 6), Array(6).fill(200));
  });

  test('do not where it is not: a request that makes all peers answer so could eject them', async () => {
    await using of = await world();
    of.peerAt(ONE).answer({ status: 500 });
    await posts(of, 60);
    assert.deepEqual(lines(of), []);
  });
});

const nonsense = [
  {
    options: { consecutiveFailures: -1 },
    says: /consecutiveFailures: expected a number from 0 on, got -1/,
  },
  { options: { baseEjectionMs: 0 }, says: /baseEjectionMs: expected a number from 1 on, got 0/ },
  {
    options: { maxEjectionMs: 10 },
    says: /maxEjectionMs: expected a number from 30000 on, got 10/,
  },
  {
    options: { consecutive5XX: 1 },
    says: /unknown option "consecutive5XX"; did you mean "consecutive5xx"\?/,
  },
];

test('options of outlier detection that make no sense are refused', () => {
  for (const { options, says } of nonsense) {
    assert.throws(() => new LoadBalancer([ONE], { name: 'wrong', outlierDetection: options }), {
      name: 'TypeError',
      message: says,
    });
  }
});

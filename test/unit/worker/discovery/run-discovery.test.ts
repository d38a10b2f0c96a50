import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { HeldTime } from '../../../../src/server/testing/held-time.ts';
import { collectLog, type LogLine } from '../../../../src/server/testing/collected-log.ts';
import { DiscoveredSet, discoveredSetSpec } from '../../../../src/shared/memory/discovered-set.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import type { DiscoveryWatcher } from '../../../../src/worker/discovery/discovery.ts';
import { followSets } from '../../../../src/worker/discovery/follow-sets.ts';
import { runDiscovery } from '../../../../src/worker/discovery/run-discovery.ts';
import { staticPeers } from '../../../../src/worker/discovery/static.ts';

describe('a discovery that runs', () => {
  test('publishes each set once, sorted and without repetitions', (t) => {
    const { watcher, set, messages } = scene(t);
    watcher.found([
      { address: '10.0.0.2:80' },
      { address: '10.0.0.1:80', weight: 3 },
      { address: '10.0.0.2:80', weight: 9 },
    ]);
    watcher.found([{ address: '10.0.0.1:80', weight: 3 }, { address: '10.0.0.2:80' }]);

    assert.deepEqual(set.read(), {
      number: 1,
      peers: [
        { address: '10.0.0.1:80', weight: 3, priority: 0, slot: 0 },
        { address: '10.0.0.2:80', weight: 1, priority: 0, slot: 1 },
      ],
    });
    assert.deepEqual(messages(), ['peers changed']);
  });

  test('says once that it fails, and once that it works again; what it has found stays', async (t) => {
    const { watcher, set, messages, time } = scene(t);
    watcher.found([{ address: '10.0.0.1:80' }]);
    await time.advance(60_000, async () => {});
    watcher.failed(new Error('no answer'));
    watcher.failed(new Error('no answer'));
    watcher.found([{ address: 'nonsense' }]);

    assert.equal(set.read()?.peers.length, 1);
    assert.deepEqual(set.figures(time.clock()), { peers: 1, ageSeconds: 60, isFailing: true });
    watcher.found([{ address: '10.0.0.1:80' }]);
    assert.deepEqual(set.figures(time.clock()), { peers: 1, ageSeconds: 0, isFailing: false });
    assert.deepEqual(messages(), [
      'peers changed',
      'discovery fails, the last set stays in use',
      'discovery works again',
    ]);
  });

  test('uses what it has found in doubt, and says what failed', (t) => {
    const { watcher, set, log, time } = scene(t);
    const peers = [{ address: '10.0.0.1:80' }];
    watcher.found(peers, new Error('no answer for the others'));
    watcher.found(peers, new Error('no answer for the others'));
    assert.deepEqual(set.figures(time.clock()).isFailing, true);
    assert.deepEqual(
      watcher.inUse.map(({ address }) => address),
      ['10.0.0.1:80'],
    );
    assert.deepEqual(
      log.map(({ reason }) => reason),
      [undefined, 'no answer for the others'],
    );
  });

  test('says that a source works again of which another worker has said that it fails', (t) => {
    const { watcher, set, messages } = scene(t);
    set.publish([{ address: '10.0.0.1:80', weight: 1, priority: 0 }]);
    set.fail();
    watcher.found([{ address: '10.0.0.1:80' }]);
    assert.deepEqual(messages(), ['discovery works again']);
  });

  test('refuses more peers than an upstream may have', (t) => {
    const { watcher, set, log } = scene(t);
    watcher.found(Array.from({ length: 1_001 }, (_, at) => ({ address: `10.0.0.1:${at + 1}` })));
    assert.equal(set.read(), undefined);
    assert.equal(log[0]?.['reason'], 'expected at most 1000 peers, got more');
    assert.equal(log[0]?.msg, 'discovery fails, and has found no peers yet');
  });

  test('is begun again after a pause that grows, when it throws', async (t) => {
    let begun = 0;
    const { time } = scene(t, () => {
      begun += 1;
      throw new Error('broken');
    });
    const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
    await time.advance(1_000, settle);
    const afterOne = begun;
    await time.advance(120_000, settle);
    assert.ok(afterOne >= 2 && afterOne <= 3, `begun ${afterOne} times in a second`);
    assert.ok(begun >= 6 && begun <= 14, `begun ${begun} times in two minutes`);
  });

  test('tells nothing any more once it is stopped', (t) => {
    const { watcher, set, stop } = scene(t);
    stop();
    watcher.found([{ address: '10.0.0.1:80' }]);
    assert.equal(set.read(), undefined);
  });

  test('that is static tells its peers, and ends', async (t) => {
    const { set } = scene(t, (watcher) => staticPeers([{ address: '10.0.0.1:80' }]).watch(watcher));
    assert.equal(set.read()?.peers.length, 1);
  });
});

describe('a worker that follows sets', () => {
  test('uses what is there at once, and what comes soon after it has come', async () => {
    const { set, time } = memory();
    set.publish([]);
    const used: string[][] = [];
    const use = (peers: readonly { address: string }[]) =>
      void used.push(peers.map(({ address }) => address));
    const following = followSets(
      [{ upstream: 'api', set, isShared: true, use }],
      time,
      collectLog([]),
    );
    assert.deepEqual(used, [[]]);
    await following.firstSets(5_000);

    set.publish([{ address: '10.0.0.1:80', weight: 1, priority: 0 }]);
    await time.advance(100, async () => {});
    await time.advance(1_000, async () => {});
    assert.deepEqual(used, [[], ['10.0.0.1:80']]);
    following.stop();
  });

  test('takes no more than a tenth of the time to work out changes, and the last one in any case', async () => {
    const { set, time } = memory();
    const used: string[] = [];
    let spentMs = 0;
    const slow = {
      now: () => time.now() + spentMs,
      clock: time.clock,
      after: time.after.bind(time),
      every: time.every.bind(time),
    };
    const use = ([peer]: readonly { address: string }[]) => {
      used.push(peer!.address);
      spentMs += 300;
    };
    set.publish([{ address: '0:80', weight: 1, priority: 0 }]);
    const following = followSets(
      [{ upstream: 'api', set, isShared: true, use }],
      slow,
      collectLog([]),
    );
    for (let change = 1; change <= 50; change++) {
      set.publish([{ address: `${change}:80`, weight: 1, priority: 0 }]);
      await time.advance(100, async () => {});
    }
    await time.advance(2_700, async () => {});
    assert.ok(used.length >= 2 && used.length <= 4, String(used));
    assert.equal(used.at(-1), '50:80');
    following.stop();
  });

  test('waits for the first set only so long, and says for which', async () => {
    const { set, time } = memory();
    const log: LogLine[] = [];
    const following = followSets(
      [{ upstream: 'api', set, isShared: true, use() {} }],
      time,
      collectLog(log),
    );
    const waited = following.firstSets(5_000);
    await time.advance(5_000, async () => {});
    await waited;
    assert.deepEqual(log[0]?.['upstreams'], ['api']);
  });

  test('keeps what it had when a set cannot be used, and says so once', async () => {
    const { set, time } = memory();
    set.publish([]);
    const log: LogLine[] = [];
    const use = () => {
      throw new TypeError('no peer');
    };
    followSets([{ upstream: 'api', set, isShared: true, use }], time, collectLog(log));
    await time.advance(1_000, async () => {});
    assert.deepEqual(
      log.map(({ msg }) => msg),
      ['discovered peers cannot be used'],
    );
  });
});

function memory() {
  const segment = createSegment(discoveredSetSpec('api', 'test'), undefined);
  return { set: new DiscoveredSet(segment), time: new HeldTime() };
}

function scene(
  t: TestContext,
  watch: (watcher: DiscoveryWatcher) => Promise<void> = () => new Promise<void>(() => {}),
) {
  const { set, time } = memory();
  const log: LogLine[] = [];
  let watcher: DiscoveryWatcher | undefined;
  const discovery = {
    source: 'test',
    async watch(given: DiscoveryWatcher) {
      watcher = given;
      await watch(given);
    },
  };
  const stop = runDiscovery({ upstream: 'api', discovery, set, time, log: collectLog(log) });
  t.after(stop);
  return { watcher: watcher!, set, time, log, stop, messages: () => log.map(({ msg }) => msg) };
}

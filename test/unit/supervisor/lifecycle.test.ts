import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLog } from '../../../src/shared/log/log.ts';
import { Lifecycle } from '../../../src/supervisor/lifecycle.ts';
import { done, refused, type Outcome } from '../../../src/supervisor/operations.ts';

const log = createLog({ level: 'error', destination: '/dev/null', name: 'supervisor' });

/** A supervisor whose operations end when the test says so; `calls` is what was asked of it. */
function scripted() {
  const calls: string[] = [];
  const pending = new Map<string, PromiseWithResolvers<Outcome>>();
  const operation = (name: string) => (abort: AbortSignal) => {
    calls.push(name);
    const ending = Promise.withResolvers<Outcome>();
    abort.addEventListener('abort', () => ending.resolve(refused('given up')));
    pending.set(name, ending);
    return ending.promise;
  };
  const drained = Promise.withResolvers<void>();
  const supervisor = {
    status: () => ({ addresses: [], control: undefined, workers: [], restarts: 0, segments: [] }),
    reload: operation('reload'),
    upgrade: operation('upgrade'),
    handOff: operation('hand-off'),
    peers: () => [],
    switchPeer: () => done('switched'),
    reopenLogs: () => void calls.push('reopen-logs'),
    drain(reason: string) {
      calls.push(`drain ${reason}`);
      return drained.promise;
    },
    stop() {
      calls.push('stop');
      return Promise.resolve();
    },
  };
  return {
    calls,
    supervisor,
    drained: () => drained.resolve(),
    async finish(name: string, outcome: Outcome) {
      await turn();
      pending.get(name)!.resolve(outcome);
    },
  };
}

const whenUp = () => Promise.resolve();

/** Whatever can go on by itself has done so. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a supervisor that starts', () => {
  test('does what it was asked meanwhile, once it serves', async () => {
    const script = scripted();
    const start = Promise.withResolvers<typeof script.supervisor>();
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({ start: () => start.promise, whenUp });

    const reload = lifecycle.reload();
    lifecycle.reopenLogs();
    assert.equal(lifecycle.status().state, 'starting');
    assert.deepEqual(script.calls, []);
    start.resolve(script.supervisor);
    await script.finish('reload', done('reloaded'));
    assert.deepEqual(await reload, done('reloaded'));

    lifecycle.drain();
    script.drained();
    await ended;
    assert.deepEqual(script.calls, ['reopen-logs', 'reload', 'drain stopping']);
  });

  test('drains right after its start, if told to meanwhile', async () => {
    const script = scripted();
    const start = Promise.withResolvers<typeof script.supervisor>();
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({ start: () => start.promise, whenUp });

    lifecycle.drain();
    const handOff = lifecycle.handOff();
    start.resolve(script.supervisor);
    script.drained();

    await ended;
    assert.equal((await handOff).kind, 'refused');
    assert.deepEqual(script.calls, ['drain stopping']);
  });

  test('is given up by a stop', async () => {
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({
      start: (abort) =>
        new Promise<never>((_resolve, reject) => {
          abort.addEventListener('abort', () => reject(abort.reason as Error));
        }),
      whenUp,
    });
    const reload = lifecycle.reload();

    lifecycle.stop();

    await ended;
    assert.equal((await reload).kind, 'refused');
  });

  test('and comes up in spite of a stop is stopped then', async () => {
    const script = scripted();
    const start = Promise.withResolvers<typeof script.supervisor>();
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({ start: () => start.promise, whenUp });

    lifecycle.stop();
    start.resolve(script.supervisor);

    await ended;
    assert.deepEqual(script.calls, ['stop']);
  });

  test('may be told to drain while its hooks still run, and a hook that fails then is too late', async () => {
    const script = scripted();
    const hooks = Promise.withResolvers<void>();
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({
      start: () => Promise.resolve(script.supervisor),
      whenUp: () => hooks.promise,
    });
    await turn();
    assert.equal(lifecycle.status().state, 'starting');

    lifecycle.drain();
    hooks.reject(new Error('too late'));
    script.drained();

    await ended;
    assert.deepEqual(script.calls, ['drain stopping']);
  });

  test('is stopped again by a hook that fails', async () => {
    const script = scripted();
    const lifecycle = new Lifecycle(log, '1');

    await assert.rejects(
      lifecycle.run({
        start: () => Promise.resolve(script.supervisor),
        whenUp: () => Promise.reject(new Error('the registry said no')),
      }),
      /the registry said no/,
    );
    assert.deepEqual(script.calls, ['stop']);
  });

  test('and fails says why', async () => {
    const lifecycle = new Lifecycle(log, '1');

    await assert.rejects(
      lifecycle.run({ start: () => Promise.reject(new Error('no such port')), whenUp }),
      /no such port/,
    );
  });
});

describe('a supervisor that serves', () => {
  const serving = async () => {
    const script = scripted();
    const lifecycle = new Lifecycle(log, '1');
    const ended = lifecycle.run({ start: () => Promise.resolve(script.supervisor), whenUp });
    await turn();
    return { ...script, lifecycle, ended };
  };

  test('reloads once more for all who ask during a reload', async () => {
    const script = await serving();
    const { lifecycle, calls } = script;
    const first = lifecycle.reload();
    await turn();
    const others = [lifecycle.reload(), lifecycle.reload()];

    await script.finish('reload', refused('conf.yaml:1:1: broken'));
    assert.equal((await first).kind, 'refused');
    assert.equal(lifecycle.status().lastReload?.successful, false);
    await script.finish('reload', done('reloaded'));

    for (const other of await Promise.all(others)) assert.equal(other.kind, 'done');
    assert.deepEqual(calls, ['reload', 'reload']);
    assert.equal(lifecycle.status().lastReload?.successful, true);
  });

  test('refuses a second upgrade, and takes another one after the first has failed', async () => {
    const script = await serving();
    const { lifecycle, calls } = script;
    const first = lifecycle.upgrade();
    await turn();

    const second = await lifecycle.upgrade();
    assert.match(second.kind === 'refused' ? second.reason : '', /upgrade is under way/);
    assert.equal((await lifecycle.handOff()).kind, 'refused');
    await script.finish('upgrade', refused('the successor does not start'));
    assert.equal((await first).kind, 'refused');

    const third = lifecycle.upgrade();
    await script.finish('upgrade', done('process 2 has taken over'));
    assert.equal((await third).kind, 'done');
    assert.deepEqual(calls, ['upgrade', 'upgrade', 'drain handed-off']);
  });

  test('hands off after the reload that is under way', async () => {
    const script = await serving();
    const { lifecycle, calls } = script;
    const reload = lifecycle.reload();
    await turn();
    const handOff = lifecycle.handOff();
    assert.deepEqual(calls, ['reload']);

    await script.finish('reload', done('reloaded'));
    await reload;
    await script.finish('hand-off', done('handed off'));

    assert.equal((await handOff).kind, 'done');
    assert.equal(lifecycle.status().state, 'draining');
  });

  test('gives up an upgrade when it is to drain, and drains for itself', async () => {
    const script = await serving();
    const { lifecycle, calls, ended } = script;
    const upgrade = lifecycle.upgrade();
    await turn();

    lifecycle.drain();

    assert.deepEqual(await upgrade, refused('given up'));
    assert.equal((await lifecycle.reload()).kind, 'refused');
    script.drained();
    await ended;
    assert.deepEqual(calls, ['upgrade', 'drain stopping']);
  });

  test('drains once, however often it is told, and a stop overtakes it', async () => {
    const { lifecycle, calls, ended } = await serving();
    lifecycle.drain();
    lifecycle.drain();

    lifecycle.stop();
    lifecycle.stop();

    await ended;
    assert.deepEqual(calls, ['drain stopping', 'stop']);
  });

  test('survives an operation that throws', async () => {
    const { lifecycle, supervisor } = await serving();
    supervisor.reload = () => Promise.reject(new Error('no memory'));

    const outcome = await lifecycle.reload();

    assert.match(outcome.kind === 'refused' ? outcome.reason : '', /no memory/);
    assert.equal(lifecycle.status().state, 'serving');
  });
});

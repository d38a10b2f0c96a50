import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  eventually,
  launch,
  startSluice,
  temporaryFile,
  type Running,
} from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/in-the-background.ts', import.meta.url));

/** A file that is not there yet, and what makes it appear. */
function gateOf(t: TestContext, state: 'open' | 'shut') {
  const gate = join(dirname(temporaryFile(t, 'beside', '')), 'gate');
  const open = () => writeFileSync(gate, '');
  if (state === 'open') open();
  return { gate, open };
}

function start(t: TestContext, own: string, threads = 2): Running {
  const head = 'version: 1\nadmin: { listen: 127.0.0.1:0 }\n';
  const conf = temporaryFile(t, 'conf.yaml', head + own);
  return launch(t, ['-c', conf, '--threads', String(threads)], { program });
}

const isLine = (text: string) => (line: { msg?: unknown }) => line.msg === text;

describe('a background service', () => {
  test('holds back those that depend on it until it is ready', async (t) => {
    const { gate, open } = gateOf(t, 'shut');
    const running = start(t, `gate: ${gate}\n`);
    await running.logged(isLine('warming up'));
    // It failed and was started again meanwhile; that says that others do not wait for the gate.
    await running.logged(isLine('succeeded'));
    assert.ok(!running.logs.some(isLine('worker ready')));
    assert.ok(!running.logs.some(isLine('counting')));

    open();
    await running.logged(isLine('counting'));
    await running.logged(isLine('serving'));
    const times = (text: string) => running.logs.filter(isLine(text)).length;
    assert.equal(times('warming up'), 1, 'in one of the two workers');
    assert.equal(times('counting'), 1);
    const line = running.logs.find(isLine('warming up'))!;
    assert.equal(line['service'], 'warm-up');
    assert.equal(line['gate'], gate);
  });

  test('that throws is started again, and its worker lives', async (t) => {
    const { gate } = gateOf(t, 'open');
    const sluice = await startSluice(t, `gate: ${gate}`, { program, threads: 2 });
    const succeeded = await sluice.logged(isLine('succeeded'));

    assert.equal(succeeded['attempts'], 3);
    const failures = sluice.logs.filter(isLine('task failed; starting it again'));
    assert.deepEqual(
      failures.map(({ err }) => (err as { message: string }).message),
      ['attempt 1, made for the test', 'attempt 2, made for the test'],
    );
    assert.equal(await sluice.metric('tasks_failed_total'), 2);
    assert.equal((await sluice.status()).restarts, 0);
  });

  test('goes on in another worker when its own is killed; what is done stays done', async (t) => {
    const { gate } = gateOf(t, 'open');
    const sluice = await startSluice(t, `gate: ${gate}`, { program, threads: 2 });
    await sluice.logged(isLine('succeeded'));
    const counting = await sluice.logged(isLine('counting'));
    process.kill(counting['pid'] as number, 'SIGKILL');

    const again = await sluice.until(
      () => sluice.logs.filter(isLine('counting'))[1],
      'the task in another worker',
    );
    assert.notEqual(again['pid'], counting['pid']);
    await sluice.replaced(counting['pid'] as number);
    assert.equal((await sluice.get('/')).status, 200);
    assert.equal(sluice.logs.filter(isLine('warming up')).length, 1);
    assert.equal(sluice.logs.filter(isLine('counting')).length, 2);
  });

  test('moves to the new workers of a reload, and is never run twice at a time', async (t) => {
    const { gate } = gateOf(t, 'open');
    const sluice = await startSluice(t, `gate: ${gate}`, { program, threads: 2 });
    const first = await sluice.logged(isLine('counting'));
    sluice.process.kill('SIGHUP');

    const second = await sluice.until(
      () => sluice.logs.filter(isLine('counting'))[1],
      'the task in a new worker',
    );
    const ended = await sluice.logged(isLine('counting no more'));
    assert.equal(ended['pid'], first['pid']);
    assert.ok(sluice.logs.indexOf(ended) < sluice.logs.indexOf(second));
    assert.equal((await sluice.get('/')).status, 200);
    sluice.process.kill('SIGTERM');
    await sluice.ended;
    assert.equal(sluice.logs.filter(isLine('counting')).length, 2);
    assert.equal(sluice.logs.filter(isLine('counting no more')).length, 2);
  });

  test('is told to end when its worker drains, and waited for', async (t) => {
    const { gate } = gateOf(t, 'open');
    const sluice = await startSluice(t, `gate: ${gate}`, { program });
    await sluice.logged(isLine('counting'));
    sluice.process.kill('SIGTERM');

    assert.equal((await sluice.ended).code, 0);
    assert.ok(sluice.logs.some(isLine('counting no more')));
  });

  test('that does not end is waited for no longer than the grace period', async (t) => {
    const { gate } = gateOf(t, 'open');
    const own = `gate: ${gate}\ndeaf: true\ngrace_period_seconds: 1`;
    const sluice = await startSluice(t, own, { program });
    await sluice.logged(isLine('counting'));
    sluice.process.kill('SIGTERM');

    assert.equal((await sluice.ended).code, 0);
    assert.ok(sluice.logs.some(isLine('a task did not end within the grace period')));
  });

  test('that is not ready in time ends the start, and the message says who waited for whom', async (t) => {
    const { gate } = gateOf(t, 'shut');
    const running = start(t, `gate: ${gate}\nreadyTimeoutMs: 200\n`, 1);
    const { code, stderr } = await running.ended;

    assert.equal(code, 1);
    assert.match(
      stderr,
      /^in-the-background: cannot start: service "edge" depends on "warm-up", which was not ready within 200 ms$/m,
    );
  });

  test('can be stopped while others wait for it', async (t) => {
    const { gate } = gateOf(t, 'shut');
    const running = start(t, `gate: ${gate}\n`);
    await running.logged(isLine('warming up'));
    running.process.kill('SIGINT');

    assert.equal((await running.ended).code, 0);
  });

  test('that a replacement waits for was ready before', async (t) => {
    const { gate } = gateOf(t, 'open');
    const sluice = await startSluice(t, `gate: ${gate}`, { program });
    const [worker] = (await sluice.status()).workers;
    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);

    const served = await eventually(
      async () => ((await sluice.get('/')).status === 200 ? true : undefined),
      'an answer',
    );
    assert.equal(served, true);
  });
});

describe('a program whose services are wrong', () => {
  const cases = [
    {
      wrong: 'circle',
      says: /^in-the-background: services depend on each other in a circle: "warm-up" → "count" → "warm-up"$/m,
    },
    {
      wrong: 'unknown',
      says: /^in-the-background: service "edge" depends on "forgotten", which was not added to the server$/m,
    },
    { wrong: 'name', says: /a service named "edge" was added before/ },
  ];
  for (const { wrong, says } of cases) {
    test(`is told what: ${wrong}`, async (t) => {
      const { gate } = gateOf(t, 'open');
      const { code, stderr } = await start(t, `gate: ${gate}\nwrong: ${wrong}\n`, 1).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { closedPort, eventually, launch, type Running } from '../../support/index.ts';

const program = fileURLToPath(new URL('../../../ops/demo/main.ts', import.meta.url));

const loadProgram = fileURLToPath(new URL('../../../bench/load/demo.ts', import.meta.url));

interface Demo extends Running {
  /** The commands it printed, by the comment above them. */
  readonly lines: ReadonlyMap<string, readonly string[]>;
  /** What such a command prints when it is pasted into a shell. */
  paste(comment: string, which?: number): Promise<string>;
}

async function startDemo(t: TestContext): Promise<Demo> {
  const ports = [];
  for (let n = 0; n < 4; n++) ports.push(await closedPort());
  const running = launch(t, ['--ports', ports.join(',')], { program });
  await running.until(() => (running.stdout.includes('Stop: Ctrl-C') ? true : undefined), 'ready');
  const lines = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of running.stdout.split('\n')) {
    if (line.startsWith('  # ')) lines.set(line.slice(4), (current = []));
    else if (line.startsWith('  ')) current.push(line.trim());
    else if (line.startsWith('Stop')) break;
  }
  const shell = promisify(execFile);
  return Object.assign(running, {
    lines,
    async paste(comment: string, which = 0) {
      const found = [...lines].find(([text]) => text.includes(comment))?.[1][which];
      assert.ok(found, `a line to paste under "${comment}"`);
      return (await shell('bash', ['-c', found])).stdout;
    },
  });
}

describe('the demo', () => {
  test('does what its printed lines say', async (t) => {
    const demo = await startDemo(t);

    assert.match(await demo.paste('without a key'), /^HTTP\/1\.1 401 /);

    const allowed = await demo.paste('with the key');
    assert.match(allowed, /^HTTP\/1\.1 200 /);
    assert.match(allowed, /^server: Sluice\r$/im);
    assert.doesNotMatch(allowed, /x-powered-by/i);
    assert.match(allowed, /^origin \d+ got GET \/ from 127\.0\.0\.1$/m);

    assert.match(
      await demo.paste('figures'),
      /^sluice_requests_total\{service="gateway",status="200"\} 1$/m,
    );
    for (const { length } of demo.lines.values()) assert.ok(length > 0);
  });

  test('refuses what is beyond the limit, and says when to come back', async (t) => {
    const demo = await startDemo(t);

    const began = performance.now();
    const codes = (await demo.paste('25 at once')).trim().split(' ');
    // While 25 requests run, a slow machine earns some more: ten a second.
    const earned = Math.ceil((performance.now() - began) / 100);

    const refused = codes.filter((code) => code === '429').length;
    assert.equal(codes.length, 25);
    assert.ok(refused >= 5 - earned && refused <= 5, `${refused} were refused, ${earned} earned`);
    assert.equal(codes.filter((code) => code === '200').length, 25 - refused);
    const line = await eventually(
      async () => (await demo.paste('may come back').catch(() => '')) || undefined,
      'more requests at once than are earned meanwhile',
    );
    assert.match(line, /^retry-after: 1\r$/im);
  });

  test('stands the load that the printed line puts on it, and the figures are printed', async (t) => {
    const demo = await startDemo(t);
    const line = demo.lines.get([...demo.lines.keys()].find((key) => key.startsWith('load'))!)![0]!;
    const url = /^npm run load -- --url (\S+)$/.exec(line)![1]!;
    const load = async (...args: string[]) =>
      launch(t, ['--url', url, '--duration', '1', ...args], { program: loadProgram }).ended;

    const gentle = await load();
    assert.equal(gentle.code, 0, gentle.stdout + gentle.stderr);
    for (const figure of ['throughput', 'p99.9', 'errors      0', 'non-2xx     0']) {
      assert.ok(gentle.stdout.includes(figure), figure);
    }

    const hard = await load('--rate', '0');
    assert.equal(hard.code, 1);
    assert.match(hard.stderr, /answers were 429; --allow-status 429/);
    assert.equal((await load('--rate', '0', '--allow-status', '429')).code, 0);
    assert.equal((await load('--rate', 'x')).code, 1);
  });

  test('goes on when an origin dies, and uses it again when it is back', async (t) => {
    const demo = await startDemo(t);
    const seen = async () => {
      const answers = [await demo.paste('with the key'), await demo.paste('with the key')];
      assert.ok(
        answers.every((answer) => answer.startsWith('HTTP/1.1 200 ')),
        answers.join(),
      );
      return new Set(answers.map((answer) => /origin (\d+)/.exec(answer)![1]));
    };
    const soon = (count: number) =>
      eventually(async () => {
        // Below the limit of the demo: a look every 200 ms.
        await new Promise((resolve) => setTimeout(resolve, 200));
        return (await seen()).size === count ? true : undefined;
      }, `answers from ${count} origins`);
    await soon(2);

    await demo.paste('one origin dies', 0);
    await soon(1);

    const again = demo.lines.get(
      [...demo.lines.keys()].find((key) => key.includes('one origin dies'))!,
    )![1]!;
    const port = /(\d+)$/.exec(again)![1]!;
    assert.match(again, /^npm run --silent demo:origin -- \d+$/);
    launch(t, [port], {
      program: fileURLToPath(new URL('../../../ops/demo/origin.ts', import.meta.url)),
    });
    await soon(2);
  });

  test('ends everything it started', async (t) => {
    const demo = await startDemo(t);
    const pids = [...demo.stdout.matchAll(/(?:supervisor|pid) (\d+)/g)].map(([, pid]) =>
      Number(pid),
    );
    assert.equal(pids.length, 3);

    demo.process.kill('SIGINT');
    assert.equal((await demo.ended).code, 0);

    for (const pid of pids) {
      await eventually(async () => {
        try {
          process.kill(pid, 0);
          return undefined;
        } catch {
          return true;
        }
      }, `process ${pid} to end`);
    }
  });

  test('says so if one of its ports is taken', async (t) => {
    const demo = await startDemo(t);
    const ports = [...demo.stdout.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port);
    const second = launch(t, ['--ports', [ports[0], ports[0], ports[1], ports[2]].join(',')], {
      program,
    });

    const { code, stderr } = await second.ended;

    assert.equal(code, 1);
    assert.match(stderr, /origin \d+ could not start; is something else listening there\?/);
  });
});

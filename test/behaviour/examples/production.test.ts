import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { closedPort, eventually, get, playReadme } from '../../support/index.ts';
import { startPeer, temporaryFile } from '../../support/index.ts';

test('the example of production, as its README goes through it', async (t) => {
  const origins = [await startPeer(t), await startPeer(t)];
  const folder = dirname(temporaryFile(t, 'x', ''));
  const pidFile = join(folder, 'gateway.pid');
  const gone = () => eventually(async () => !existsSync(pidFile) || undefined, 'the end of it');
  t.after(async () => {
    if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGINT');
    await gone();
  });
  const port = await closedPort();
  const standIns = [
    ['/tmp/sluice-production', folder],
    [':6188', `:${port}`],
  ] as const;

  const traffic = new Traffic(port);

  await playReadme('5-production', standIns, {
    LISTEN: `127.0.0.1:${port}`,
    ORIGINS: origins.map(({ address }) => address).join(','),
  });

  // From the first answer on nothing goes wrong, until it is told to end.
  const outcomes = await traffic.stop();
  const served = outcomes.slice(outcomes.indexOf('200'), outcomes.lastIndexOf('200') + 1);
  assert.ok(served.length > 10);
  assert.deepEqual(new Set(served), new Set(['200']));
  await gone();
  const log = readFileSync(join(folder, 'error.log'), 'utf8');
  assert.match(log, /"msg":"status=200 peer=127\.0\.0\.1:\d+ elapsed=\d+\.\dms"/);
  const banners = log.match(/^serving \w+/gm);
  assert.deepEqual(banners, ['serving one', 'serving two', 'serving two']);
});

/** Asks over and over, each time on a new connection, and remembers what came of it. */
class Traffic {
  readonly #outcomes: string[] = [];
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(port: number) {
    this.#ended = this.#run(port);
  }

  async #run(port: number): Promise<void> {
    while (!this.#isOver) {
      const outcome = await get(port, '/').then(
        ({ status }) => String(status),
        ({ code }: NodeJS.ErrnoException) => String(code),
      );
      this.#outcomes.push(outcome);
      await setTimeout(5); // enough of them, and no more than a busy machine can bear
    }
  }

  async stop(): Promise<readonly string[]> {
    this.#isOver = true;
    await this.#ended;
    return this.#outcomes;
  }
}

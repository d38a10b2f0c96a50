import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, startSluice, temporaryFile } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/start-hooks.ts', import.meta.url));
const written = (outcome: string) => `version: 1\noutcome: ${outcome}\n`;

describe('onStart', () => {
  test('runs once for all workers, in the supervisor, and not for a replaced worker', async (t) => {
    const sluice = await startSluice(t, written('banner'), { program, threads: 2 });
    const [worker] = (await sluice.status()).workers;
    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);

    const told = JSON.stringify([{ service: 'proxy', host: '127.0.0.1', port: sluice.port }]);
    assert.equal(sluice.stdout, `banner of ${sluice.pid}: ${told}\n`);
  });

  test('that throws ends the start: one message, code 1, no worker left', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', written('throws'));
    const running = launch(t, ['-c', conf, '--threads', '2'], { program });
    const ready = await running.logged(({ msg }) => msg === 'worker ready');
    const { code, stderr } = await running.ended;

    assert.equal(code, 1);
    assert.match(stderr, /^start-hooks: onStart: the registry of services said no$/m);
    assert.ok(!running.logs.some(({ msg }) => msg === 'serving'));
    assert.throws(() => process.kill(ready['workerPid'] as number, 0), { code: 'ESRCH' });
  });

  test('that never ends does not keep the process from stopping', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', written('never'));
    const running = launch(t, ['-c', conf, '--threads', '1'], { program });
    await running.until(() => (running.stdout === '' ? undefined : true), 'the banner');
    running.process.kill('SIGTERM');

    assert.equal((await running.ended).code, 0);
  });
});

/** A supervisor that is killed where nobody keeps its sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  eventually,
  launch,
  startSluice,
  startTraffic,
  temporaryFile,
} from '../support/index.ts';
import { processesWhere } from '../support/processes.ts';

const program = fileURLToPath(new URL('programs/outlives-its-supervisor.ts', import.meta.url));

const service = (port: number) => `
services: [{ name: edge, listen: ['127.0.0.1:${port}'], routes: [{ respond: { status: 200, body: ok } }] }]
`;

describe('a supervisor that is killed', () => {
  test('leaves workers that serve on; the next one can start once they have ended', async (t) => {
    const port = await closedPort();
    const sluice = await startSluice(t, service(port), { threads: 2 });
    const { workers } = await sluice.status();
    const traffic = startTraffic(t, port);
    await traffic.answered(10);

    sluice.process.kill('SIGKILL');
    await once(sluice.process, 'exit');

    await traffic.answered(50);
    const inTheWay = await launch(t, ['-c', sluice.conf]).ended;
    assert.equal(inTheWay.code, 1);
    assert.match(inTheWay.stderr, /another process listens there \(find it with: ss/);
    const { answered: _, ...losses } = await traffic.stop();
    assert.deepEqual(losses, { wrong: 0, refused: 0, cut: 0 });

    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await sluice.ended;
    const next = launch(t, ['-c', sluice.conf]);
    await next.logged(({ msg }) => msg === 'serving');
    assert.equal((await sluice.get('/')).body, 'ok');
  });

  test('before they serve leaves no workers, and no trace of a crash', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', 'version: 1\nthreads: 1\n');
    const sluice = launch(t, ['-c', conf], { program });
    const { pid } = await sluice.logged(({ msg }) => msg === 'begins');

    sluice.process.kill('SIGKILL');
    const { stderr } = await sluice.ended;

    // A process closes what it has open a moment before it has ended.
    const isThere = () => processesWhere((process) => process.pid === pid).length > 0;
    await eventually(async () => (isThere() ? undefined : true), 'the worker to end');
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  });
});

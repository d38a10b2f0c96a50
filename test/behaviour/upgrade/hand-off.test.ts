/** Upgrades between processes that have nothing to do with each other: `-u` and SIGQUIT. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { edge, eventually, get, getTls, pemFiles, type Running } from '../../support/index.ts';
import { exited, startPair } from '../../support/upgrade.ts';

const BIN = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const MISCHIEF = fileURLToPath(new URL('programs/mischief.ts', import.meta.url));

const answering = (text: string, listen = `'127.0.0.1:0'`) => `
  services: [{ name: edge, listen: [${listen}], routes: [{ respond: { status: 200, body: '${text}' } }] }]
`;

test('SIGQUIT hands everything to the successor that waits', async (t) => {
  const pair = await startPair(t, answering('one'));
  const { old } = pair;
  const next = await pair.startSuccessor({ yaml: answering('two') });
  assert.equal(pidIn(pair.pidFile), old.pid);
  assert.equal((await old.get('/')).body, 'one');

  old.process.kill('SIGQUIT');
  const serving = await next.logged(({ msg }) => msg === 'serving');

  assert.deepEqual(serving['addresses'], [{ service: 'edge', host: '127.0.0.1', port: old.port }]);
  assert.equal(pidIn(pair.pidFile), next.pid);
  assert.deepEqual(await exited(old), { code: 0, signal: null });
  assert.equal((await old.get('/')).body, 'two');
  assert.ok(!existsSync(pair.upgradeSocket));
  assert.equal(pidIn(pair.pidFile), next.pid);
});

test('SIGQUIT before the successor waits is no mistake', async (t) => {
  const pair = await startPair(t, answering('one'));
  pair.old.process.kill('SIGQUIT');
  await pair.old.logged(({ msg }) => msg === 'looking for the successor');

  const next = await pair.startSuccessor({ yaml: answering('two') });

  await next.logged(({ msg }) => msg === 'serving');
  await exited(pair.old);
  assert.equal((await pair.old.get('/')).body, 'two');
});

test('an upgrade can be upgraded, and that again', async (t) => {
  const pair = await startPair(t, answering('first'));
  for (const text of ['second', 'third', 'fourth']) {
    const before = pidIn(pair.pidFile);
    const next = await pair.upgrade({ yaml: answering(text) });
    assert.equal(pidIn(pair.pidFile), next.pid);
    await eventually(async () => (isGone(before) ? true : undefined), `process ${before} to end`);
    assert.equal((await pair.old.get('/')).body, text);
  }
});

test('a process that was reloaded can be upgraded, and its successor reloaded', async (t) => {
  const pair = await startPair(t, answering('first'));
  const reload = async (running: Running, conf: string, text: string) => {
    writeFileSync(conf, pair.configuration(answering(text)));
    running.process.kill('SIGHUP');
    await eventually(
      async () => ((await pair.old.get('/')).body === text ? true : undefined),
      `answers of "${text}"`,
    );
  };
  await reload(pair.old, pair.old.conf, 'second');
  const next = await pair.upgrade({ yaml: answering('third') });
  await exited(pair.old);
  assert.equal((await pair.old.get('/')).body, 'third');
  await reload(next, join(pair.folder, 'next.yaml'), 'fourth');
});

test('more descriptors than one message carries are handed over, and more workers and fewer', async (t) => {
  const listen = Array.from({ length: 71 }, () => `'127.0.0.1:0'`).join(', ');
  const pair = await startPair(t, answering('one', listen), { threads: 3 });
  const ports = pair.old.addresses.map(({ port }) => port);

  for (const threads of [4, 1]) {
    const next = await pair.upgrade({ yaml: answering(`of ${threads}`, listen), threads });
    const { addresses } = next.logs.find(({ msg }) => msg === 'serving') as unknown as {
      addresses: { port: number }[];
    };
    assert.deepEqual(
      addresses.map(({ port }) => port),
      ports,
    );
    await eventually(async () => {
      const answers = await Promise.all(ports.map((port) => get(port, '/')));
      return answers.every(({ body }) => body === `of ${threads}`) ? true : undefined;
    }, `answers of ${threads} workers alone`);
  }
});

describe('listeners', () => {
  test('with TLS, on Unix sockets and IPv6 are handed over like others', async (t) => {
    const { cert, key } = pemFiles(t, edge);
    const pair = await startPair(t, (folder) => everyKind(folder, 'one'));
    function everyKind(folder: string, text: string): string {
      return answering(
        text,
        `'127.0.0.1:0', { address: '127.0.0.1:0', tls: { cert: ${cert}, key: ${key} } }, '[::1]:0', 'unix:${folder}/web.sock'`,
      );
    }
    const [, tls, ipv6] = pair.old.addresses;
    await pair.upgrade({ yaml: everyKind(pair.folder, 'two') });
    await exited(pair.old);

    assert.equal((await pair.old.get('/')).body, 'two');
    assert.equal((await getTls(tls!.port, '/')).body, 'two');
    assert.equal(await bodyOf({ host: '::1', port: ipv6!.port }), 'two');
    assert.equal(await bodyOf({ socketPath: join(pair.folder, 'web.sock') }), 'two');
  });

  test('that the new configuration adds are opened, those that it drops are closed', async (t) => {
    const pair = await startPair(t, (folder) =>
      answering('one', `'127.0.0.1:0', 'unix:${folder}/dropped.sock'`),
    );
    await pair.upgrade({
      yaml: answering('two', `'127.0.0.1:0', 'unix:${pair.folder}/added.sock'`),
    });
    await exited(pair.old);

    assert.equal((await pair.old.get('/')).body, 'two');
    assert.equal(await bodyOf({ socketPath: join(pair.folder, 'added.sock') }), 'two');
    assert.ok(!existsSync(join(pair.folder, 'dropped.sock')));
  });
});

test('whoever was limited before the upgrade is limited after it', async (t) => {
  const limited = (text: string) => `
    services:
      - name: edge
        listen: ['127.0.0.1:0']
        routes:
          - rate_limit: { key: client_ip, rate: 2/h, burst: 2 }
            respond: { status: 200, body: ${text} }
  `;
  const pair = await startPair(t, limited('one'));
  const statuses = async () => [
    (await pair.old.get('/')).status,
    (await pair.old.get('/')).status,
    (await pair.old.get('/')).status,
  ];
  assert.deepEqual(await statuses(), [200, 200, 429]);

  await pair.upgrade({ yaml: limited('two') });
  await exited(pair.old);

  assert.deepEqual(await statuses(), [429, 429, 429]);
});

test('what was counted before the upgrade is counted after it, on the same page', async (t) => {
  const pair = await startPair(t, answering('one'));
  const count = () => pair.old.metric('sluice_requests_total{service="edge",status="200"}');
  await Promise.all([pair.old.get('/'), pair.old.get('/'), pair.old.get('/')]);
  assert.equal(await count(), 3);

  await pair.upgrade({ yaml: answering('two') });
  await exited(pair.old);
  await Promise.all([pair.old.get('/'), pair.old.get('/')]);

  assert.equal(await count(), 5);
});

test('an upgrade under traffic loses no request and refuses no connection', async (t) => {
  const pair = await startPair(t, answering('one'), { threads: 2 });
  const traffic = startTraffic(t, pair.old.port);
  await eventually(async () => (traffic.answered > 50 ? true : undefined), 'traffic');

  await pair.upgrade({ yaml: answering('two'), threads: 2 });
  await exited(pair.old);
  const before = traffic.answered;
  await eventually(async () => (traffic.answered > before + 50 ? true : undefined), 'more traffic');

  assert.deepEqual(await traffic.stop(), []);
});

describe('the classic line', () => {
  for (const program of [BIN, MISCHIEF]) {
    const name = program === BIN ? 'sluice' : 'a program of one’s own';
    test(`sluice -c conf.yaml -d -u && kill -QUIT $(cat PIDFILE) upgrades ${name}`, async (t) => {
      const options = program === BIN ? {} : { program };
      const yaml = (text: string) => (program === BIN ? answering(text) : `text: ${text}`);
      const pair = await startPair(t, yaml('one'), options);
      const command = join(pair.folder, 'sluice');
      writeFileSync(
        command,
        `#!/bin/sh\nexec '${process.execPath}' --conditions=sluice-source '${program}' "$@"\n`,
      );
      chmodSync(command, 0o755);
      writeFileSync(join(pair.folder, 'conf.yaml'), pair.configuration(yaml('two')));

      execFileSync('sh', ['-c', 'sluice -c conf.yaml -d -u && kill -QUIT $(cat sluice.pid)'], {
        cwd: pair.folder,
        env: { ...process.env, PATH: `${pair.folder}:${process.env['PATH']}` },
        stdio: 'ignore',
      });

      assert.deepEqual(await exited(pair.old), { code: 0, signal: null });
      assert.equal((await pair.old.get('/')).body, 'two');
      assert.notEqual(pidIn(pair.pidFile), pair.old.pid);
    });
  }
});

function pidIn(path: string): number {
  return Number(readFileSync(path, 'utf8'));
}

function isGone(pid: number): boolean {
  return (
    !existsSync(`/proc/${pid}`) ||
    /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  );
}

function bodyOf(where: { host: string; port: number } | { socketPath: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...where, path: '/', agent: false }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () => resolve(body));
    });
    request.on('error', reject);
    request.end();
  });
}

/** Some clients on connections that they keep, some on new ones; none tries anything twice. */
function startTraffic(t: TestContext, port: number) {
  const problems: string[] = [];
  let stopped = false;
  let answered = 0;
  const client = async (agent: Agent) => {
    while (!stopped) {
      try {
        const { status } = await get(port, '/', { agent });
        if (status !== 200) problems.push(`status ${status}`);
        answered += 1;
      } catch (thrown) {
        problems.push(String(thrown));
      }
    }
    agent.destroy();
  };
  const agents = [true, true, true, false, false].map(
    (keepAlive) => new Agent({ keepAlive, maxSockets: 1 }),
  );
  const clients = agents.map(client);
  t.after(() => (stopped = true));
  return {
    get answered() {
      return answered;
    },
    async stop() {
      stopped = true;
      await Promise.all(clients);
      return problems;
    },
  };
}

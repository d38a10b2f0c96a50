import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { authority, closedPort, edge, eventually, makeCertificate } from '../../support/index.ts';
import { pemFiles, playReadme, temporaryFile } from '../../support/index.ts';
import { get, getTls, startExample, startPeer, startTlsPeer } from '../../support/index.ts';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));

describe('the examples of the tutorial', () => {
  test('1: the first proxy passes on, names itself, and says how it went', async (t) => {
    const origin = await startPeer(t);
    const example = await startExample(t, '1-first-proxy', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    await example.says(/^status=200 elapsed=\d+\.\dms$/);
    assert.deepEqual(
      origin.requests.map(({ body }) => String(body)),
      ['', 'a body'],
    );
  });

  test('2: load balancing hides a broken backend', async (t) => {
    const origins = [await startPeer(t), await startPeer(t)];
    const broken = `127.0.0.1:${await closedPort()}`;
    const ORIGINS = [...origins.map(({ address }) => address), broken].join(',');
    const example = await startExample(t, '2-load-balancing', { env: { ORIGINS } });

    await example.keepsItsPromises();

    const became = await example.says(/^peer became ill$/);
    assert.equal(became['peer'], broken);
    await example.says(/^status=200 peer=127\.0\.0\.1:\d+ attempts=\d elapsed=\d+\.\dms$/);
    for (const { requests } of origins) assert.notEqual(requests.length, 0);
  });

  test('3: filters ask for a key, keep it from the origin, and log whose it was', async (t) => {
    const origin = await startPeer(t);
    const example = await startExample(t, '3-filters', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    await example.says(/^status=401 key=- elapsed=\d+\.\dms$/);
    await example.says(/^status=200 key=demo elapsed=\d+\.\dms$/);
    assert.equal(origin.requests.length, 1);
    assert.equal(origin.requests[0]?.headers['x-api-key'], undefined);
    assert.equal(origin.requests[0]?.headers['x-key-owner'], 'demo');
  });

  test('4: TLS on both sides', async (t) => {
    const peer = await startTlsPeer(
      t,
      makeCertificate({ commonName: 'origin.test', issuer: authority }),
    );
    const { cert: CERT, key: KEY } = pemFiles(t, edge);
    const folder = dirname(CERT);
    writeFileSync(`${folder}/ca.pem`, authority.cert);
    const env = { CERT, KEY, CA: `${folder}/ca.pem`, ORIGIN: peer.address };
    const usualPorts = [6443];
    const good = await startExample(t, '4-tls', { env, usualPorts });

    await good.keepsItsPromises(folder);

    await good.says(/^status=200 tls=TLSv1\.3 error=undefined elapsed=\d+\.\dms$/);
  });

  test('4: an origin that is somebody else gets no request', async (t) => {
    const peer = await startTlsPeer(
      t,
      makeCertificate({ commonName: 'origin.test', issuer: authority }),
    );
    const { cert: CERT, key: KEY } = pemFiles(t, edge);
    writeFileSync(`${dirname(CERT)}/ca.pem`, authority.cert);
    const env = { CERT, KEY, CA: `${dirname(CERT)}/ca.pem`, ORIGIN: peer.address };
    const wrong = { ...env, ORIGIN_NAME: 'other.test' };
    const example = await startExample(t, '4-tls', { env: wrong });

    const answer = await getTls(example.ports[0]!, '/');

    assert.equal(answer.status, 502);
    await example.says(/^status=502 tls=TLSv1\.3 error=upstream\/certificate-refused /);
  });

  test('5: production, as its README goes through it', async (t) => {
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

  test('7: a rate limit admits 20 of 25', async (t) => {
    const origin = await startPeer(t);
    // However slow the machine is, nothing is earned back meanwhile.
    const env = { ORIGIN: origin.address, RATE: '1/h' };
    const example = await startExample(t, '7-rate-limiting', { env });

    await example.keepsItsPromises();

    await example.says(/^status=429 key=two elapsed=\d+\.\dms$/);
    assert.equal(origin.requests.length, 21);
  });

  test('8: the complete proxy wires it all together', async (t) => {
    const origins = [await startPeer(t), await startPeer(t)];
    const ORIGINS = origins.map(({ address }) => address).join(',');
    const text = readFileSync(join(EXAMPLES, '8-complete-proxy/conf.yaml'), 'utf8');
    // However slow the machine is, nothing is earned back meanwhile.
    const conf = temporaryFile(t, 'conf.yaml', text.replace('rate: 20/m', 'rate: 1/h'));
    const example = await startExample(t, '8-complete-proxy', {
      args: ['-c', conf],
      env: { ORIGINS, METRICS: '127.0.0.1:0', API_KEY: 'secret123' },
      usualPorts: [6188, 9190],
    });

    await example.keepsItsPromises();

    await example.says(/^status=200 key=demo elapsed=\d+\.\dms$/);
    assert.deepEqual(example.running.stdout.match(/^gateway: serving on .*$/gm)?.length, 1);
    for (const { requests } of origins) assert.equal(requests.length, 10);
    await Promise.all(origins.map((origin) => origin.close()));
    await example.running.logged(({ msg }) => msg === 'peer became ill');
  });

  test('9: the proxy of the tests runs, and its tests pass', async (t) => {
    const origins = [await startPeer(t), await startPeer(t)];
    const ORIGINS = origins.map(({ address }) => address).join(',');
    const example = await startExample(t, '9-testing', { env: { ORIGINS } });
    await example.keepsItsPromises();

    const file = join(EXAMPLES, '9-testing/proxy.test.ts');
    const args = ['--conditions=sluice-source', '--test', file];
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    // Rejects if one of them fails.
    await promisify(execFile)(process.execPath, args, { env });
  });

  test('have at most 60 lines, the first one 25', () => {
    const programs = globSync('*/*.ts', { cwd: EXAMPLES });
    assert.ok(programs.length > 10);
    for (const program of programs) {
      const lines = readFileSync(join(EXAMPLES, program), 'utf8').trimEnd().split('\n').length;
      const atMost = program.startsWith('1-') ? 25 : 60;
      assert.ok(lines <= atMost, `${program} has ${lines} lines`);
    }
  });
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

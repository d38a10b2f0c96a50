import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  edge,
  getTls,
  pemFiles,
  startExample,
  startPeer,
  temporaryFile,
} from '../../support/index.ts';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));

describe('the last examples of the tutorial', () => {
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
    const { cert, key } = pemFiles(t, edge);
    const tls = `tls: { listen: '127.0.0.1:0', cert: '${cert}', key: '${key}' }\n`;
    // However slow the machine is, nothing is earned back meanwhile.
    const conf = temporaryFile(t, 'conf.yaml', `${text.replace('rate: 20/m', 'rate: 1/h')}${tls}`);
    const example = await startExample(t, '8-complete-proxy', {
      args: ['-c', conf],
      env: { ORIGINS, METRICS: '127.0.0.1:0', API_KEY: 'secret123' },
      usualPorts: [6188, 6443, 9190],
    });

    await example.keepsItsPromises();

    assert.equal((await getTls(example.ports[1]!, '/')).status, 401);
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

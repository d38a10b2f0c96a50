import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { get, launch, temporaryFile } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/created.ts', import.meta.url));

function start(t: TestContext, options: object) {
  return launch(t, ['--not', 'an', 'option'], {
    program,
    env: { OPTIONS: JSON.stringify(options) },
  });
}

async function served(t: TestContext, options: object) {
  const running = start(t, options);
  const serving = await running.logged(({ msg }) => msg === 'serving');
  const [{ port }] = serving['addresses'] as [{ port: number }];
  return { running, serving, configuration: JSON.parse((await get(port, '/')).body) as unknown };
}

describe('Server.create', () => {
  test('takes a configuration in code, and its own keys of it in every process', async (t) => {
    const configuration = { admin: { listen: '127.0.0.1:0' }, team: { price: '$5' } };
    const { serving, configuration: own } = await served(t, { configuration, threads: 2 });

    assert.equal(serving['threads'], 2);
    assert.ok((serving['admin'] as { port: number }).port > 0);
    assert.deepEqual(own, { team: { price: '$5' } });
  });

  test('takes the path of a file', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', 'version: 1\nthreads: 1\nteam: edge\n');
    const { configuration } = await served(t, { conf });

    assert.deepEqual(configuration, { team: 'edge' });
  });

  test('checks and starts nothing, if it is told to', async (t) => {
    const { code, stdout } = await start(t, { test: true }).ended;

    assert.equal(code, 0);
    assert.match(stdout, /: ok$/m);
  });

  const wrong = [
    {
      options: { configuration: { limts: 1, log: { level: 'wran' } } },
      says: /configuration:4:10: log\.level: .*did you mean "warn"\?\n {2}4 \| +level: wran\n +\^\n1 problem in configuration$/m,
    },
    { options: { conf: '/nowhere/conf.yaml' }, says: /conf\.yaml:1:1: cannot read the file/ },
    {
      options: { config: {} },
      says: /^created: Server\.create: unknown option "config"; did you mean "conf"\?$/m,
    },
    { options: { threads: 0 }, says: /^created: Server\.create: threads: .* 1 to 1024, got 0$/m },
    { options: { conf: 'a', configuration: {} }, says: /either conf or configuration, got both/ },
    { options: { configuration: [] }, says: /configuration: expected an object, got \[\]/ },
  ];
  for (const { options, says } of wrong) {
    test(`says what is wrong with ${JSON.stringify(options)}`, async (t) => {
      const { code, stderr } = await start(t, options).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

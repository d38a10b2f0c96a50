import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { launch, startPeer, startSluice, temporaryFile } from '../../support/index.ts';

const GOOD = `version: 1
admin: { listen: 127.0.0.1:0 }
services:
  - name: edge
    listen: [127.0.0.1:0]
    routes: [{ respond: { status: 200, body: ok } }]
`;

describe('the command', () => {
  test('says how it is used, and which version it is', async (t) => {
    const help = await launch(t, ['--help']).ended;
    assert.equal(help.code, 0);
    for (const option of ['--conf', '--test', '--threads', '--help', '--version']) {
      assert.ok(help.stdout.includes(option), option);
    }
    const version = await launch(t, ['--version']).ended;
    assert.equal(version.code, 0);
    const { version: declared } = JSON.parse(
      readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    assert.equal(version.stdout.trim(), declared);
  });

  const wrong = [
    { name: 'an unknown option', args: ['--frobnicate'], says: /frobnicate/ },
    { name: 'a stray argument', args: ['conf.yaml'], says: /unexpected argument "conf\.yaml"/ },
    { name: 'no threads', args: ['--threads', '0'], says: /expected a whole number from 1/ },
    { name: 'no services', args: [], says: /there is no service to run/ },
    { name: 'a missing file', args: ['-c', '/nonexistent.yaml'], says: /\/nonexistent\.yaml/ },
  ];
  for (const { name, args, says } of wrong) {
    test(`refuses ${name}`, async (t) => {
      const { code, stderr, stdout } = await launch(t, args).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /^\s+at /m, 'no stack traces for what the operator can change');
      assert.equal(stdout, '');
    });
  }

  for (const release of ['20.20.0', '22.99.0', '24.18.0', '25.9.0', '26.5.0']) {
    test(`refuses to run on Node.js ${release}, and says why`, async (t) => {
      const pretend = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${release}'}})`;
      const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(pretend)}` };

      const { code, stderr } = await launch(t, ['--version'], { env }).ended;

      assert.equal(code, 1);
      assert.match(stderr, /^sluice: needs Node\.js \^24\.18\.1 \|\| >=26\.5\.1, and this is /);
      assert.ok(stderr.includes(release));
    });
  }

  test('checks a file with -t, and starts nothing', async (t) => {
    const good = temporaryFile(t, 'conf.yaml', GOOD);
    const { code, stdout } = await launch(t, ['-t', '-c', good]).ended;
    assert.equal(code, 0);
    assert.match(stdout, /conf\.yaml: ok/);

    const bad = temporaryFile(t, 'conf.yaml', GOOD.replace('routes', 'ruotes'));
    const refused = await launch(t, ['-t', '-c', bad]).ended;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /conf\.yaml:6:5: .*ruotes/);
    assert.match(refused.stderr, /\^/);
    assert.match(refused.stderr, /did you mean "routes"/i);
  });

  test('starts nothing if one of its ports is taken', async (t) => {
    const stranger = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    t.after(() => stranger.close());
    const { port } = stranger.address() as AddressInfo;
    const pidFile = join(dirname(temporaryFile(t, 'x', '')), 'sluice.pid');
    const conf = temporaryFile(
      t,
      'conf.yaml',
      `${GOOD.replace('[127.0.0.1:0]', `[127.0.0.1:0, 127.0.0.1:${port}]`)}pid_file: ${pidFile}\n`,
    );

    const { code, stderr } = await launch(t, ['-c', conf]).ended;

    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*another process listens there`));
    assert.equal(existsSync(pidFile), false);
  });

  test('starts nothing if the admin port or a log file cannot be had', async (t) => {
    const stranger = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    t.after(() => stranger.close());
    const { port } = stranger.address() as AddressInfo;
    const faults = [
      { from: 'listen: 127.0.0.1:0 }', to: `listen: 127.0.0.1:${port} }`, says: /admin/ },
      {
        from: 'version: 1',
        to: 'version: 1\nerror_log: /nonexistent/log',
        says: /\/nonexistent\/log/,
      },
      {
        from: 'version: 1',
        to: 'version: 1\naccess_log: /nonexistent/log',
        says: /\/nonexistent\/log/,
      },
      {
        from: 'version: 1',
        to: 'version: 1\npid_file: /nonexistent/pid',
        says: /\/nonexistent\/pid/,
      },
      {
        from: 'version: 1',
        to: 'version: 1\nworking_directory: /nonexistent',
        says: /working_directory/,
      },
    ];
    for (const { from, to, says } of faults) {
      const conf = temporaryFile(t, 'conf.yaml', GOOD.replace(from, to));
      const { code, stderr } = await launch(t, ['-c', conf, '--threads', '1']).ended;
      assert.equal(code, 1, to);
      assert.match(stderr, says);
    }
  });

  test('runs one worker per core unless told otherwise', async (t) => {
    const { availableParallelism } = await import('node:os');
    const conf = temporaryFile(t, 'conf.yaml', GOOD);
    const sluice = launch(t, ['-c', conf]);

    const serving = await sluice.logged(({ msg }) => msg === 'serving');

    assert.equal(serving['threads'], availableParallelism());
  });

  test('writes its process id where asked, for its owner, and takes it away again', async (t) => {
    const pidFile = join(dirname(temporaryFile(t, 'x', '')), 'sluice.pid');
    const sluice = await startSluice(t, `${GOOD}pid_file: ${pidFile}`);
    assert.equal(readFileSync(pidFile, 'utf8').trim(), String(sluice.pid));
    assert.equal(statSync(pidFile).mode & 0o777, 0o644);

    sluice.process.kill('SIGTERM');
    await sluice.ended;

    assert.equal(existsSync(pidFile), false);
  });

  test('takes the level of its log from SLUICE_LOG', async (t) => {
    const peer = await startPeer(t);
    assert.ok(peer.port > 0);
    const sluice = await startSluice(t, GOOD, { env: { SLUICE_LOG: 'debug' } });

    await sluice.logged(({ level }) => level === 'debug' || level === 20);
  });
});

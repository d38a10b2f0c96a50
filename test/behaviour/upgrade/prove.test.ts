import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  closedPort,
  edge,
  eventually,
  launch,
  pemFiles,
  startPeer,
  temporaryFile,
} from '../../support/index.ts';
import { processesWhere } from '../../support/processes.ts';
import { proveLossless, type Proof } from '../../support/prove.ts';

const ONLY_KILLS = ['--upgrades', '0', '--reloads', '0', '--kills'];

describe('sluice prove-upgrade', () => {
  test('kills workers, and finds nothing lost but what they had under way', (t) =>
    proveLossless(t, ['--kills', '5', '--threads', '2'], 'kills'));

  test('copies a configuration: its listeners, TLS included, but none of its peers', async (t) => {
    const { cert, key } = pemFiles(t, edge);
    const peer = await startPeer(t);
    const conf = temporaryFile(
      t,
      'conf.yaml',
      `version: 1
threads: 2
upstreams:
  api: { peers: ['${peer.address}'], health_check: { type: tcp, interval: 100ms } }
services:
  - name: edge
    listen:
      - 127.0.0.1:0
      - { address: 127.0.0.1:0, tls: { cert: ${cert}, key: ${key} } }
      - unix:/nonexistent/folder/sluice.sock
    routes:
      - auth: { api_key: { keys: [secret] } }
        upstream: api
`,
    );
    const args = ['-c', conf, ...ONLY_KILLS, '2', '--json'];
    const { code, stdout, stderr } = await launch(t, ['prove-upgrade', ...args]).ended;

    assert.equal(code, 0, stdout + stderr);
    assert.ok((JSON.parse(stdout) as Proof).lossless);
    assert.equal(peer.connectionCount, 0);
  });

  test('puts the server that runs to the proof, by a route of its own', async (t) => {
    const [port, adminPort, originPort] = [
      await closedPort(),
      await closedPort(),
      await closedPort(),
    ];
    const route = (peer: string) => `version: 1
threads: 2
access_log: "off"
grace_period_seconds: 1 # transfers take half of it
admin: { listen: 127.0.0.1:${adminPort} }
upstreams: { prove: { peers: ['127.0.0.1:${peer}'] } }
services:
  - listen: [127.0.0.1:${port}]
    routes: [{ match: { path: /sluice-prove/* }, upstream: prove }]
`;
    const conf = temporaryFile(t, 'conf.yaml', route(String(originPort)));
    const sluice = launch(t, ['-c', conf]);
    await sluice.logged(({ msg }) => msg === 'serving');
    const kills = [...ONLY_KILLS, '2', '--json'];

    const args = ['prove-upgrade', '-c', conf, '--running', `127.0.0.1:${originPort}`, ...kills];
    const { code, stdout, stderr } = await launch(t, args).ended;

    assert.equal(code, 0, stdout + stderr);
    assert.ok((JSON.parse(stdout) as Proof).lossless);
    await sluice.logged(({ msg }) => msg === 'worker died; replacing it');

    const elsewhere = ['prove-upgrade', '-c', conf, '--running', `127.0.0.1:${await closedPort()}`];
    const refused = await launch(t, elsewhere).ended;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /does not reach the origin of the proof \(wrong: status 502;/);
  });

  const ends = [
    { name: 'Ctrl-C', signal: 'SIGINT' },
    { name: 'a kill', signal: 'SIGKILL' },
  ] as const;
  for (const { name, signal } of ends) {
    test(`leaves no process behind after ${name}`, async (t) => {
      const proof = launch(t, ['prove-upgrade', '--threads', '1', '--grace', '1']);
      const session = await eventually(async () => {
        const [leader] = processesWhere(({ parent }) => parent === proof.pid);
        // The proof itself, a supervisor, a worker.
        const isUnderWay = leader !== undefined && membersOf(leader.pid).length >= 3;
        return isUnderWay ? leader.pid : undefined;
      }, 'the proof to be under way');

      proof.process.kill(signal);
      const { code } = await proof.ended;
      await eventually(
        async () => (membersOf(session).length === 0 ? true : undefined),
        'all of them to be gone',
      );

      assert.equal(code, signal === 'SIGINT' ? 1 : null);
    });
  }

  const wrong = [
    { args: ['--kills', 'many'], says: /--kills: expected a whole number from 0 to/ },
    { args: ['--running', 'here'], says: /--running: expected an address such as/ },
    { args: ['--running', '127.0.0.1:1'], says: /--running: name the file it runs from/ },
    { args: ['--clients', '0'], says: /--clients: expected a whole number from 1 to 500, got "0"/ },
    { args: ['--frobnicate'], says: /frobnicate/ },
    { args: ['extra'], says: /extra/ },
    { args: ['-c', '/nonexistent.yaml'], says: /\/nonexistent\.yaml/ },
    {
      args: [...ONLY_KILLS, '0'],
      says: /there is nothing to do/,
    },
  ];
  for (const { args, says } of wrong) {
    test(`refuses ${args.join(' ')}`, async (t) => {
      const { code, stderr, stdout } = await launch(t, ['prove-upgrade', ...args]).ended;

      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /^\s+at /m);
      assert.equal(stdout, '');
    });
  }
});

function membersOf(session: number) {
  return processesWhere((process) => process.session === session);
}

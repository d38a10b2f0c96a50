import assert from 'node:assert/strict';
import { appendFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, rawPeer, startPeer, startSluice, temporaryFile } from '../../support/index.ts';

const folderOf = (t: TestContext) => dirname(temporaryFile(t, 'x', ''));

const gatewayTo = (address: string, more: string) => `
  ${more}
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

/** A gateway with one peer and a control socket, and a way to call the command for it. */
async function controlled(t: TestContext, options: { readonly threads?: number } = {}) {
  const peer = await startPeer(t);
  const path = join(folderOf(t), 'control.sock');
  const sluice = await startSluice(t, gatewayTo(peer.address, `control_sock: ${path}`), options);
  const call = (...args: string[]) => launch(t, [...args, '--control', path]).ended;
  return { peer, path, sluice, call };
}

/** Everything the supervisor says to these bytes, until it closes. */
function say(path: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let heard = '';
    socket.on('data', (piece) => {
      heard += piece.toString();
    });
    socket.on('close', () => resolve(heard));
    socket.on('error', reject);
    socket.end(bytes);
  });
}

describe('verbs', () => {
  test('status tells people and programs what runs', async (t) => {
    const { sluice, call, path } = await controlled(t, { threads: 2 });

    const forPeople = await call('status');
    assert.equal(forPeople.code, 0);
    assert.match(forPeople.stdout, new RegExp(`process ${sluice.pid}: serving`));
    assert.match(forPeople.stdout, new RegExp(`edge on 127\\.0\\.0\\.1:${sluice.port}`));
    assert.match(forPeople.stdout, /^1 +ready +\d+$/m);
    assert.match(forPeople.stdout, new RegExp(`^peers +\\d+ KiB +process ${sluice.pid}$`, 'm'));

    const forPrograms = JSON.parse((await call('status', '--json')).stdout) as {
      state: string;
      pid: number;
      control: string;
      workers: unknown[];
    };
    const { state, pid, control, workers } = forPrograms;
    assert.deepEqual(
      { state, pid, control, workers: workers.length },
      { state: 'serving', pid: sluice.pid, control: path, workers: 2 },
    );
  });

  test('peers lists every peer and its health', async (t) => {
    const { peer, call } = await controlled(t);

    const { stdout } = await call('peers');

    assert.match(stdout, new RegExp(`^api +${peer.address} +unknown$`, 'm'));
  });

  test('peers can be taken out of service and put back, also through a reload', async (t) => {
    const [one, two] = [await startPeer(t), await startPeer(t)];
    const path = join(folderOf(t), 'control.sock');
    const both = `['${one.address}', '${two.address}']`;
    const sluice = await startSluice(
      t,
      `
  control_sock: ${path}
  upstreams: { api: { peers: ${both} }, other: { peers: ['${two.address}'] } }
  services: [{ listen: [127.0.0.1:0], routes: [{ upstream: api }] }]
`,
      { threads: 2 },
    );
    const call = (...args: string[]) => launch(t, ['peers', ...args, '--control', path]).ended;
    const answering = async () => {
      const bodies = await Promise.all(Array.from({ length: 12 }, () => sluice.get('/')));
      return new Set(bodies.map(({ body }) => Number(/\d+$/.exec(body)![0])));
    };
    assert.deepEqual(await answering(), new Set([one.port, two.port]));

    const drained = await call('--drain', one.address);
    assert.equal(drained.code, 0);
    assert.match(drained.stdout, /of api gets no new requests; 0 are under way/);
    assert.deepEqual(await answering(), new Set([two.port]));
    assert.match((await call()).stdout, new RegExp(`^api +${one.address} +drained$`, 'm'));
    assert.equal((await launch(t, ['reload', '--control', path]).ended).code, 0);
    assert.deepEqual(await answering(), new Set([two.port]));

    assert.equal((await call('--enable', one.address)).code, 0);
    assert.deepEqual(await answering(), new Set([one.port, two.port]));

    const unclear = await call('--drain', two.address);
    assert.equal(unclear.code, 1);
    assert.match(unclear.stderr, /several upstreams .* --upstream \(api, other\)/);
    assert.equal((await call('--drain', two.address, '--upstream', 'other')).code, 0);
    assert.deepEqual(await answering(), new Set([one.port, two.port]));
    assert.match((await call('--drain', '127.0.0.1:1')).stderr, /sluice peers lists them/);
    assert.match(
      (await call('--drain', one.address, '--enable', one.address)).stderr,
      /--drain or --enable, got both/,
    );
  });

  test('stop returns when the process has ended, and lets its requests finish', async (t) => {
    const peer = await rawPeer(t);
    const path = join(folderOf(t), 'control.sock');
    const sluice = await startSluice(t, gatewayTo(peer.address, `control_sock: ${path}`));
    const running = sluice.get('/slow');
    const connection = await peer.nextConnection();
    await connection.receives(/slow/);

    const stop = launch(t, ['stop', '--control', path]).ended;
    await sluice.refusing();
    assert.equal((await launch(t, ['status', '--control', path]).ended).code, 0);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');

    assert.equal((await running).body, 'done');
    const { code, stdout } = await stop;
    assert.equal(code, 0);
    assert.match(stdout, /draining/);
    assert.throws(() => process.kill(sluice.pid, 0), { code: 'ESRCH' });
  });

  test('stop --now does not wait for them', async (t) => {
    const peer = await rawPeer(t);
    const path = join(folderOf(t), 'control.sock');
    const sluice = await startSluice(t, gatewayTo(peer.address, `control_sock: ${path}`));
    const cut = assert.rejects(sluice.get('/never'), { code: 'ECONNRESET' });
    await (await peer.nextConnection()).receives(/never/);

    assert.equal((await launch(t, ['stop', '--now', '--control', path]).ended).code, 0);

    await cut;
    assert.equal((await sluice.ended).code, 0);
  });

  test('drain returns at once', async (t) => {
    const peer = await rawPeer(t);
    const path = join(folderOf(t), 'control.sock');
    const sluice = await startSluice(t, gatewayTo(peer.address, `control_sock: ${path}`));
    const running = sluice.get('/slow');
    const connection = await peer.nextConnection();
    await connection.receives(/slow/);

    assert.equal((await launch(t, ['drain', '--control', path]).ended).code, 0);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');

    assert.equal((await running).body, 'done');
    assert.equal((await sluice.ended).code, 0);
  });

  test('find the socket by the configuration, even by one that is broken by now', async (t) => {
    const folder = folderOf(t);
    const conf = temporaryFile(
      t,
      'conf.yaml',
      `version: 1
pid_file: ${folder}/edge.pid
services:
  - listen: [127.0.0.1:0]
    routes: [{ respond: { status: 200 } }]
`,
    );
    const running = launch(t, ['-c', conf, '--threads', '1']);
    await running.logged(({ msg }) => msg === 'serving');
    assert.ok(statSync(join(folder, 'edge.control.sock')).isSocket());
    assert.equal((await launch(t, ['status', '-c', conf]).ended).code, 0);

    writeFileSync(conf, `version: 1\npid_file: ${folder}/edge.pid\nservices: nonsense\n`);

    assert.equal((await launch(t, ['-c', conf, 'status']).ended).code, 0);
  });

  test('work for a configuration that names neither socket nor pid file', async (t) => {
    const conf = temporaryFile(
      t,
      'conf.yaml',
      'version: 1\nservices: [{ listen: [127.0.0.1:0], routes: [{ respond: { status: 200 } }] }]\n',
    );
    const running = launch(t, ['-c', conf, '--threads', '1']);
    await running.logged(({ msg }) => msg === 'serving');

    assert.equal((await launch(t, ['status', '-c', conf]).ended).code, 0);
  });

  test('are the same for a program on the framework', async (t) => {
    const program = fileURLToPath(new URL('programs/two-services.ts', import.meta.url));
    const path = join(folderOf(t), 'control.sock');
    const yaml = `control_sock: ${path}\npeer: 127.0.0.1:1\ngreeting: hello`;
    const sluice = await startSluice(t, yaml, { program });

    const { code, stdout } = await launch(t, ['status', '--control', path], { program }).ended;

    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`process ${sluice.pid}: serving`));
  });

  test('say what to do when nothing runs, with code 2', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', 'version: 1\npid_file: x.pid\n');

    const { code, stderr } = await launch(t, ['reload', '-c', conf]).ended;

    assert.equal(code, 2);
    assert.match(stderr, /^sluice: not running: .*x\.control\.sock\nStart it with: sluice -c /);
  });

  test('that are refused say why, with code 1', async (t) => {
    const { path, sluice } = await controlled(t);
    appendFileSync(sluice.conf, '\nthreads: many\n');

    const { code, stderr } = await launch(t, ['upgrade', '--control', path]).ended;

    assert.equal(code, 1);
    assert.match(stderr, /^sluice: the successor .*threads: expected/s);
  });
});

describe('the control socket', () => {
  test('is for its owner alone', async (t) => {
    const { path } = await controlled(t);

    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('is not taken from a process that listens there, but from a dead one', async (t) => {
    const { path, peer, sluice } = await controlled(t);
    const conf = temporaryFile(
      t,
      'conf.yaml',
      `version: 1${gatewayTo(peer.address, `control_sock: ${path}`).replaceAll('\n  ', '\n')}`,
    );

    const refused = await launch(t, ['-c', conf, '--threads', '1']).ended;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /control socket .*: another process listens there/);

    const { workers } = await sluice.status();
    const died = new Promise((resolve) => sluice.process.once('exit', resolve));
    sluice.process.kill('SIGKILL');
    await died;
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    const next = launch(t, ['-c', conf, '--threads', '1']);
    await next.logged(({ msg }) => msg === 'serving');
  });

  const garbage = [
    { name: 'no JSON', bytes: 'status\n', says: /expected a line of JSON/ },
    { name: 'no object', bytes: '[]\n', says: /expected a JSON object/ },
    { name: 'another version', bytes: '{"version":2,"verb":"status"}\n', says: /version 1/ },
    { name: 'no verb', bytes: '{"version":1}\n', says: /expected a verb/ },
    {
      name: 'an unknown verb',
      bytes: '{"version":1,"verb":"purge"}\n',
      says: /there is no verb \\"purge\\"; this release knows: status, reload/,
    },
    { name: 'half a line', bytes: '{"version":1', says: /ended before the line/ },
    { name: 'a line without end', bytes: 'x'.repeat(70_000), says: /at most 65536 bytes/ },
  ];
  test('answers garbage with what it expected, and lives', async (t) => {
    const { path, call } = await controlled(t);
    for (const { name, bytes, says } of garbage) {
      const answer = await say(path, bytes);
      assert.match(answer, /^\{"kind":"misunderstood"/, name);
      assert.match(answer, says, name);
    }

    assert.equal((await call('status')).code, 0);
  });

  test('has room again after clients that said nothing', async (t) => {
    const { path, call } = await controlled(t);
    const silent = Array.from({ length: 80 }, () => connect(path));
    const closed = silent.map(
      (socket) => new Promise((resolve) => socket.on('close', resolve).on('error', () => {})),
    );
    for (const socket of silent) socket.resume();

    await Promise.all(closed);

    assert.equal((await call('status')).code, 0);
  });
});

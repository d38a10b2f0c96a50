import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import {
  closedPort,
  eventually,
  get,
  rawClient,
  rawPeer,
  startPeer,
  startSluice,
  temporaryFile,
} from '../../support/index.ts';

const gatewayTo = (address: string, more = '') => `
  ${more}
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

const folderOf = (t: Parameters<typeof temporaryFile>[0]) => dirname(temporaryFile(t, 'x', ''));
const entries = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the access log', () => {
  test('has one line of JSON for each request, whatever became of it', async (t) => {
    const path = join(folderOf(t), 'access.log');
    const peer = await startPeer(t, (_request, response) => response.end('12345'));
    const sluice = await startSluice(t, gatewayTo(peer.address, `access_log: ${path}`));

    await sluice.get('/fine?a="b"', { method: 'POST', body: '123' });
    await peer.close();
    await sluice.get('/no-peer');
    const client = await rawClient(t, sluice.port);
    client.send('BROKEN\r\n\r\n');
    await client.closed();

    const lines = await eventually(async () => {
      const found = entries(path);
      return found.length === 3 ? found : undefined;
    }, 'three lines');
    const [fine, noPeer, broken] = lines;
    const { service, client: from, method, status, bytes_sent, bytes_received, upstream } = fine!;
    assert.deepEqual(
      { service, from, method, status, bytes_sent, bytes_received, upstream },
      {
        service: 'edge',
        from: '127.0.0.1',
        method: 'POST',
        status: 200,
        bytes_sent: 5,
        bytes_received: 3,
        upstream: peer.address,
      },
    );
    assert.equal(fine!['target'], '/fine?a="b"');
    assert.match(String(fine!['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual([noPeer!['status'], noPeer!['error']], [502, 'upstream/connect-refused']);
    assert.deepEqual([broken!['status'], broken!['error']], [400, 'downstream/malformed-message']);
  });

  test('and the error log are opened anew on USR1, so that they can be rotated', async (t) => {
    const folder = folderOf(t);
    const access = join(folder, 'access.log');
    const errors = join(folder, 'error.log');
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, `access_log: ${access}\n  error_log: ${errors}`),
      { logFile: errors },
    );
    await sluice.get('/before');
    await eventually(async () => (entries(access).length === 1 ? true : undefined), 'a line');

    renameSync(access, `${access}.1`);
    renameSync(errors, `${errors}.1`);
    sluice.process.kill('SIGUSR1');
    await eventually(async () => {
      try {
        return readFileSync(access) && readFileSync(errors) ? true : undefined;
      } catch {
        return undefined;
      }
    }, 'new files');
    await sluice.get('/after');

    await eventually(async () => (entries(access).length === 1 ? true : undefined), 'a line');
    assert.equal(entries(access)[0]!['target'], '/after');
    assert.equal(entries(`${access}.1`).length, 1);
  });
});

describe('the admin address', () => {
  test('has figures in Prometheus’ format', async (t) => {
    const peer = await startPeer(t);
    const gone = await closedPort();
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address)
        .replace('routes: [{', `routes: [{ match: { path: /gone }, upstream: gone }, {`)
        .replace('upstreams: {', `upstreams: { gone: { peers: ['127.0.0.1:${gone}'] },`),
      { threads: 2 },
    );
    for (let n = 0; n < 10; n++) await sluice.get('/');
    await sluice.get('/gone');

    const { body, headers } = await get(sluice.adminPort, '/metrics');

    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/);
    for (const line of [
      'sluice_requests_total{service="edge",status="200"} 10',
      'sluice_requests_total{service="edge",status="502"} 1',
      'sluice_errors_total{service="edge",code="upstream/connect-refused"} 1',
      'sluice_request_duration_seconds_count{service="edge"} 11',
      'sluice_request_duration_seconds_bucket{service="edge",le="+Inf"} 11',
      'sluice_connections_accepted_total{service="edge"} 11',
      'sluice_requests_in_flight{service="edge"} 0',
      `sluice_upstream_peer_healthy{upstream="api",peer="${peer.address}"} 1`,
      'sluice_workers{state="ready"} 2',
      'sluice_shared_memory 1',
    ]) {
      assert.ok(body.includes(`${line}\n`), line);
    }
    for (const name of ['process_cpu_seconds_total', 'sluice_worker_resident_memory_bytes']) {
      assert.match(body, new RegExp(`^${name}[ {]`, 'm'));
    }
    // Promtool's rule: every series has a help and a type before it.
    for (const name of new Set(
      [...body.matchAll(/^(sluice_\w+?)(?:_bucket|_sum|_count)?[ {]/gm)].map((m) => m[1]),
    )) {
      assert.match(body, new RegExp(`^# TYPE ${name} `, 'm'));
    }
  });

  test('says whether it lives, whether it is ready, and who does the work', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });

    assert.equal((await get(sluice.adminPort, '/healthz')).status, 200);
    assert.equal((await get(sluice.adminPort, '/readyz')).status, 200);
    const { workers } = await sluice.status();
    assert.deepEqual(
      workers.map(({ number, state }) => ({ number, state })),
      [
        { number: 0, state: 'ready' },
        { number: 1, state: 'ready' },
      ],
    );
    assert.equal((await get(sluice.adminPort, '/nothing')).status, 404);
    assert.equal((await get(sluice.adminPort, '/metrics', { method: 'POST' })).status, 405);
  });

  test('answers only those who ask by address, so that no web page can read it', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));

    const rebound = await get(sluice.adminPort, '/metrics', { headers: { host: 'evil.test' } });

    assert.equal(rebound.status, 421);
  });

  test('tells errors as JSON, with the pages that there are', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));

    const { headers, body } = await get(sluice.adminPort, '/metric');

    assert.equal(headers['content-type'], 'application/json');
    const { error, pages } = JSON.parse(body) as { error: string; pages: { path: string }[] };
    assert.equal(error, 'there is no such page');
    assert.deepEqual(
      pages.map(({ path }) => path),
      ['/metrics', '/healthz', '/readyz', '/status', '/peers', '/peers/drain', '/peers/enable'],
    );
  });

  test('with a token answers those who show it, and by any name, but tells everybody its health', async (t) => {
    const peer = await startPeer(t);
    const token = 'a-token-of-32-characters-0123456';
    const yaml = `admin: { listen: 127.0.0.1:0, token: $ADMIN_TOKEN }`;
    const sluice = await startSluice(t, gatewayTo(peer.address, yaml), {
      env: { ADMIN_TOKEN: token },
    });
    const ask = (path: string, authorization?: string) =>
      get(sluice.adminPort, path, {
        headers: { host: 'gateway.internal', ...(authorization && { authorization }) },
      });

    assert.equal((await ask('/metrics', `Bearer ${token}`)).status, 200);
    for (const wrong of [
      undefined,
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      'Bearer',
      token,
    ]) {
      const { status, headers } = await ask('/metrics', wrong);
      assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer'], String(wrong));
    }
    assert.equal((await ask('/healthz')).status, 200);
    assert.equal((await ask('/readyz')).status, 200);
    assert.equal((await ask('/nothing')).status, 401);
  });

  test('can be a Unix socket, whose file keeps others out and goes with the process', async (t) => {
    const peer = await startPeer(t);
    const path = join(folderOf(t), 'admin.sock');
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, `admin: { listen: "unix:${path}" }`),
    );

    const answer = await new Promise<number | undefined>((resolve, reject) => {
      httpGet({ socketPath: path, path: '/status' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });

    assert.equal(answer, 200);
    assert.equal(statSync(path).mode & 0o777, 0o660);
    sluice.process.kill('SIGTERM');
    await sluice.ended;
    assert.ok(!existsSync(path));
  });

  test('says of a draining server that it is not ready', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const running = sluice.get('/slow');
    const connection = await peer.nextConnection();
    await connection.receives(/slow/);

    sluice.process.kill('SIGTERM');
    await sluice.refusing();

    const { status, body } = await get(sluice.adminPort, '/readyz');
    assert.deepEqual([status, body], [503, 'draining\n']);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await running;
  });

  test('changes something only for those who show a token', async (t) => {
    const peer = await startPeer(t);
    const drain = `/peers/drain?peer=${peer.address}`;
    const post = (port: number, path: string, headers = {}) =>
      get(port, path, { method: 'POST', headers });
    const open = await startSluice(t, gatewayTo(peer.address));
    assert.equal((await post(open.adminPort, drain)).status, 403);
    assert.equal((await open.get('/')).status, 200);

    const token = 'a-token-of-32-characters-0123456';
    const sluice = await startSluice(
      t,
      gatewayTo(peer.address, `admin: { listen: 127.0.0.1:0, token: ${token} }`),
    );
    const shown = { authorization: `Bearer ${token}` };
    assert.equal((await post(sluice.adminPort, drain)).status, 401);
    assert.equal((await get(sluice.adminPort, drain, { headers: shown })).status, 405);
    assert.equal((await post(sluice.adminPort, drain, shown)).status, 200);
    const { body } = await get(sluice.adminPort, '/peers', { headers: shown });
    assert.deepEqual(JSON.parse(body), [
      { upstream: 'api', peer: peer.address, health: 'drained' },
    ]);
    const refused = await sluice.get('/');
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '5']);

    assert.equal((await post(sluice.adminPort, '/peers/enable', shown)).status, 400);
    const nobody = await post(sluice.adminPort, '/peers/enable?peer=127.0.0.1:1', shown);
    assert.deepEqual(
      [nobody.status, JSON.parse(nobody.body)],
      [409, { error: 'no upstream has a peer 127.0.0.1:1; sluice peers lists them' }],
    );
    await post(sluice.adminPort, `/peers/enable?peer=${peer.address}`, shown);
    assert.equal((await sluice.get('/')).status, 200);
  });

  test('shows a reload that was refused', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    assert.equal(await sluice.metric('sluice_config_last_reload_successful'), 1);
    const before = await sluice.metric('sluice_config_last_reload_timestamp_seconds');

    writeFileSync(sluice.conf, 'version: 1\nservices: nonsense\n');
    sluice.process.kill('SIGHUP');
    await sluice.logged(({ msg, signal }) => signal === 'SIGHUP' && /refused/.test(msg ?? ''));

    assert.equal(await sluice.metric('sluice_config_last_reload_successful'), 0);
    assert.ok((await sluice.metric('sluice_config_last_reload_timestamp_seconds')) > before);
    const { body } = await get(sluice.adminPort, '/status');
    const { lastReload } = JSON.parse(body) as { lastReload: { successful: boolean } };
    assert.equal(lastReload.successful, false);
  });
});

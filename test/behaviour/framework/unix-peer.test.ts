import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawClient, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/unix-peer.ts', import.meta.url));

test('a peer on a Unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const path = join(folder, 'peer.sock');
  const asking = new Set<Socket>();
  const peer = createServer((request, response) => {
    asking.add(request.socket);
    response.end(`host ${request.headers.host}`);
  });
  await new Promise<void>((resolve) => peer.listen(path, resolve));
  t.after(() => {
    peer.close();
    peer.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });
  const sluice = await startSluice(t, `path: '${path}'`, { program });
  const configured = await startSluice(
    t,
    `
    upstreams:
      local:
        peers: ['unix:${path}']
        health_check: { type: tcp, interval: 100ms }
    services: [{ name: edge, listen: ['127.0.0.1:0'], routes: [{ upstream: local }] }]
  `,
  );

  await t.test('can stand in a configuration file, and be probed', async () => {
    const answer = await configured.get('/', { headers: { host: 'b.example' } });
    assert.equal(answer.body, 'host b.example');
    const series = `sluice_upstream_peer_healthy{upstream="local",peer="unix:${path}"}`;
    assert.equal(await configured.metric(series), 1);
    asking.clear();
  });

  await t.test('answers, and its connection is used again', async () => {
    for (let n = 0; n < 3; n++) {
      const answer = await sluice.get('/', { headers: { host: 'a.example' } });
      assert.equal(answer.body, 'host a.example');
    }
    // The others are probes, which ask nothing.
    assert.equal(asking.size, 1);
  });

  await t.test('gets a host from a client that sent none', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET / HTTP/1.0\r\n\r\n');
    assert.match(await client.closed(), /\r\n\r\nhost localhost$/);
  });

  await t.test('is probed and balanced like others', async () => {
    assert.equal((await sluice.get('/balanced')).status, 200);
    const series = `sluice_upstream_peer_healthy{upstream="local",peer="unix:${path}"}`;
    assert.equal(await sluice.metric(series), 1);
  });

  await t.test('that is gone is a 502', async () => {
    peer.close();
    peer.closeAllConnections();
    rmSync(path, { force: true });
    await sluice.logged(({ msg }) => msg === 'peer became ill');
    assert.equal((await sluice.get('/')).status, 502);
    assert.equal((await sluice.get('/balanced')).status, 503);
    await configured.logged(({ msg }) => msg === 'peer became ill');
    assert.equal((await configured.get('/')).status, 503);
  });
});

/** Upgrades between processes that have nothing to do with each other: `-u` and SIGQUIT. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startPeer } from '../../support/index.ts';
import { startPair } from '../../support/upgrade.ts';

test('SIGQUIT hands everything to the successor that waits', async (t) => {
  const peer = await startPeer(t);
  const pair = await startPair(
    t,
    `
    upstreams: { api: { peers: ['${peer.address}'] } }
    services: [{ listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]
  `,
  );
  const { old } = pair;
  const next = await pair.startSuccessor();
  assert.equal(Number(readFileSync(pair.pidFile, 'utf8')), old.pid);

  old.process.kill('SIGQUIT');
  const serving = await next.logged(({ msg }) => msg === 'serving');

  assert.deepEqual(serving['addresses'], [
    { service: 'service-1', host: '127.0.0.1', port: old.port },
  ]);
  assert.equal(Number(readFileSync(pair.pidFile, 'utf8')), next.pid);
  const { code } = await old.ended;
  assert.equal(code, 0);
  assert.equal((await old.get('/')).status, 200);
  assert.ok(!existsSync(pair.upgradeSocket));
  assert.ok(existsSync(pair.pidFile));
});

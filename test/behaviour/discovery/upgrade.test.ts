/** What was found goes to the next release with everything else that is shared. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPeer } from '../../support/index.ts';
import { startPair } from '../../support/upgrade.ts';

test('an upgrade keeps what was found, though the source is away', async (t) => {
  const one = await startPeer(t, (_request, response) => void response.end('one'));
  let path = '';
  const pair = await startPair(t, (folder) => {
    path = join(folder, 'peers.yaml');
    writeFileSync(path, `[${one.address}]`);
    return `
      upstreams:
        api: { discovery: { type: file, path: ${path}, interval: 100ms } }
      services:
        - listen: [127.0.0.1:0]
          routes: [{ upstream: api }]
    `;
  });
  assert.equal((await pair.old.get('/')).body, 'one');
  rmSync(path);
  const successor = await pair.upgrade();
  assert.equal((await pair.old.get('/')).body, 'one');
  const failing = await successor.logged(({ msg }) => String(msg).startsWith('discovery fails'));
  assert.equal(failing['peers'], 1);
  assert.ok(!successor.logs.some(({ msg }) => String(msg).startsWith('serving without')));
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { filePeers } from '../../../../src/worker/discovery/file.ts';
import { watching } from './watching.ts';

const contents = [
  { name: 'a list in YAML', text: '- 10.0.0.1:80\n- { address: 10.0.0.2:80, weight: 3 }\n' },
  { name: 'a list in JSON', text: '["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": 3}]' },
  { name: 'a mapping', text: 'peers: [10.0.0.1:80, {address: 10.0.0.2:80, weight: 3}]' },
];

const refused = [
  { name: 'nothing', text: '', says: /peers\.yaml:1:1: expected a list of peers, got nothing/ },
  { name: 'broken YAML', text: '- 10.0.0.1:80\n- [', says: /peers\.yaml:2:/ },
  {
    name: 'no address',
    text: '- 10.0.0.1:80\n- nowhere\n',
    says: /peers\.yaml:2:3: \[1\].*expected "host:port".*got "nowhere"\n {2}2 \| - nowhere\n/s,
  },
  {
    name: 'an unknown key',
    text: '- { address: 10.0.0.1:80, wieght: 3 }',
    says: /peers\.yaml:1:3: \[0\]: unknown key "wieght"; did you mean "weight"\?/,
  },
  { name: 'something else', text: 'just text', says: /peers\.yaml:1:1: expected a list of peers/ },
];

describe('peers of a file', () => {
  for (const { name, text } of contents) {
    test(`may be ${name}`, async (t) => {
      const path = fileWith(t, text);
      assert.deepEqual(await watching(t, filePeers({ path })).told(), {
        found: [
          { address: '10.0.0.1:80', weight: 1, priority: 0 },
          { address: '10.0.0.2:80', weight: 3, priority: 0 },
        ],
      });
    });
  }

  for (const { name, text, says } of refused) {
    test(`are not read from ${name}, which is said with its place`, async (t) => {
      const told = await watching(t, filePeers({ path: fileWith(t, text) })).told();
      assert.match('failed' in told ? told.failed : '', says);
    });
  }

  test('may be none', async (t) => {
    const path = fileWith(t, '[]');
    assert.deepEqual(await watching(t, filePeers({ path })).addresses(), []);
  });

  test('are read again when the file is written, replaced or linked elsewhere', async (t) => {
    const path = fileWith(t, '[10.0.0.1:80]');
    const link = `${path}.link`;
    symlinkSync(path, link);
    const watch = watching(t, filePeers({ path: link }));
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:80']);

    writeFileSync(path, '[10.0.0.2:80]');
    assert.equal(await watch.pause(), 1_000);
    assert.deepEqual(await watch.addresses(), ['10.0.0.2:80']);

    writeFileSync(`${path}.new`, '[10.0.0.3:80]');
    renameSync(`${path}.new`, path);
    await watch.pause();
    assert.deepEqual(await watch.addresses(), ['10.0.0.3:80']);

    writeFileSync(`${path}.other`, '[10.0.0.4:80]');
    symlinkSync(`${path}.other`, `${link}.new`);
    renameSync(`${link}.new`, link);
    await watch.pause();
    assert.deepEqual(await watch.addresses(), ['10.0.0.4:80']);
  });

  test('are looked for again after the file was gone, too large or wrong', async (t) => {
    const path = fileWith(t, '[10.0.0.1:80]');
    const watch = watching(t, filePeers({ path }));
    await watch.addresses();

    const wrong = [
      { change: () => rmSync(path), says: /ENOENT/ },
      {
        change: () => writeFileSync(path, `# ${'x'.repeat(2 ** 20)}`),
        says: /at most 262144 bytes/,
      },
      { change: () => (rmSync(path), mkdirSync(path)), says: /expected a file with a list/ },
      { change: () => rmSync(path, { recursive: true }), says: /ENOENT/ },
      { change: () => writeFileSync(path, '[10.0.0.1]'), says: /expected "host:port"/ },
    ];
    for (const { change, says } of wrong) {
      change();
      await watch.pause();
      assert.match(JSON.stringify(await watch.told()).replaceAll('\\"', '"'), says);
    }
    writeFileSync(path, '[10.0.0.2:80]');
    await watch.pause();
    assert.deepEqual(await watch.addresses(), ['10.0.0.2:80']);
  });
});

function fileWith(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-peers-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'peers.yaml');
  writeFileSync(path, text);
  return path;
}

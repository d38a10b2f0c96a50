import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startSluice } from '../../support/index.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

test('the package, as it is published, runs without the sources', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-package-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
  const [tarball] = readdirSync(folder);
  await run('tar', ['xzf', tarball!], { cwd: folder });
  const installed = join(folder, 'package');
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));

  assert.ok(!readdirSync(installed).includes('src'));
  const sluice = await startSluice(
    t,
    `
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes: [{ respond: { status: 200, body: packed } }]
    `,
    { program: join(installed, 'bin', 'sluice.js'), conditions: [] },
  );

  assert.equal((await sluice.get('/')).body, 'packed');

  const script = "console.log(typeof (await import('sluice/testing')).testProxy)";
  const testing = await run('node', ['--input-type=module', '-e', script], { cwd: installed });
  assert.equal(testing.stdout, 'function\n');
});

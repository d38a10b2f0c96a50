/** What the supervisor holds after workers have died at a bad moment. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, startSluice, temporaryFile } from '../support/index.ts';

const program = fileURLToPath(new URL('programs/dies-before-it-accepts.ts', import.meta.url));

test('workers that die before they ask for their sockets leave none of them behind', async (t) => {
  const deadly = join(dirname(temporaryFile(t, 'x', '')), 'deadly');
  const sluice = await startSluice(t, `deadly: ${deadly}`, { program, threads: 2 });
  const before = socketsOf(sluice.pid);
  const { workers } = await sluice.status();

  writeFileSync(deadly, '');
  process.kill(workers[0]!.pid, 'SIGKILL');
  await eventually(
    async () => ((await sluice.status()).restarts >= 5 ? true : undefined),
    'deaths',
  );
  rmSync(deadly);

  await eventually(async () => {
    const { workers: now } = await sluice.status();
    const isWell = now.length === 2 && now.every(({ state }) => state === 'ready');
    return isWell && socketsOf(sluice.pid) === before ? true : undefined;
  }, `two ready workers, and ${before} sockets`);
  assert.equal((await sluice.get('/')).body, 'ok');
});

function socketsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => isSocket(join(folder, fd))).length;
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    return false; // It was closed since.
  }
}

/**
 * Keeps processes on cores of their own, so that a server and what loads it do not
 * take turns on the same one.
 *
 * A server is *started* pinned: its threads and children inherit the core, and
 * none can slip away between its birth and a later `pin`.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { BenchFailure } from './failure.ts';

/** @throws {BenchFailure} this machine cannot keep a server and its load apart */
export function requireCores(count: number): void {
  if (process.platform !== 'linux')
    throw new BenchFailure('reads CPU times from /proc: needs Linux');
  const cores = availableParallelism();
  if (cores >= count) return;
  throw new BenchFailure(
    `needs ${count} cores (the server on one, load and origin on another); this process may use ${cores}`,
  );
}

/** A command line that runs `command` on those cores only. `taskset` becomes the command: the pid stays. */
export function pinned(
  cores: readonly number[],
  command: string,
  args: readonly string[],
): [string, string[]] {
  return [requireProgram('taskset', 'util-linux'), ['-c', cores.join(','), command, ...args]];
}

/** Full path of a program; servers are often installed where only root's PATH looks. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export function requireProgram(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new BenchFailure(`${name} is not installed (Debian: apt-get install ${debianPackage})`);
}

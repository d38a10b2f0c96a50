/** A supervisor that runs, and successors for it. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  dedent,
  eventually,
  launch,
  startSluice,
  type Running,
  type Sluice,
  type StartOptions,
} from './sluice.ts';

export interface Pair {
  readonly old: Sluice;
  readonly conf: string;
  readonly pidFile: string;
  readonly upgradeSocket: string;
  readonly folder: string;
  /** A whole one, with all that is the same for both. */
  configuration(yaml: string): string;
  /** Starts with `-u` and waits until it waits. */
  startSuccessor(options?: SuccessorOptions): Promise<Running>;
  /** All of an upgrade of the process that serves by now; returns when the successor serves. */
  upgrade(options?: SuccessorOptions): Promise<Running>;
}

export interface SuccessorOptions extends StartOptions {
  /** In place of the configuration of the one that runs. */
  readonly yaml?: string;
}

/** `pid_file` and `upgrade_sock` are put in front of the configuration. */
export async function startPair(
  t: TestContext,
  yaml: string | ((folder: string) => string),
  options: StartOptions = {},
): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const pidFile = join(folder, 'sluice.pid');
  // First of all: what the first process has started keeps its output open, and its end is waited for.
  t.after(() => endOf(pidFile));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const upgradeSocket = join(folder, 'upgrade.sock');
  const heads = `pid_file: ${pidFile}\nupgrade_sock: ${upgradeSocket}\n`;
  const first = typeof yaml === 'string' ? yaml : yaml(folder);
  const old = await startSluice(t, `${heads}${dedent(first)}`, options);
  const configuration = (other: string) =>
    `version: 1\nthreads: 1\nadmin: { listen: 127.0.0.1:0 }\naccess_log: "off"\n${heads}${dedent(other)}`;
  const { conf } = old;
  const pair: Pair = {
    folder,
    configuration,
    old,
    conf,
    pidFile,
    upgradeSocket,
    async startSuccessor({ yaml: other, ...more } = {}) {
      const path = join(folder, 'next.yaml');
      const whole = other === undefined ? readFileSync(conf, 'utf8') : configuration(other);
      writeFileSync(path, whole);
      const { threads = options.threads ?? 1 } = more;
      const next = launch(t, ['-c', path, '-u', '--threads', String(threads)], {
        ...options,
        ...more,
      });
      await next.logged(({ msg }) => msg === 'waiting for the running process to hand over');
      return next;
    },
    async upgrade(more) {
      const serving = Number(readFileSync(pidFile, 'utf8'));
      const next = await pair.startSuccessor(more);
      process.kill(serving, 'SIGQUIT');
      await next.logged(({ msg }) => msg === 'serving');
      return next;
    },
  };
  return pair;
}

/** Ends whoever serves by now. */
async function endOf(pidFile: string): Promise<void> {
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
  if (pid === 0 || !isAlive(pid)) return;
  process.kill(pid, 'SIGINT');
  await eventually(async () => (isAlive(pid) ? undefined : true), `process ${pid} to end`);
}

/** The end of the process alone: what it has started may hold on to its output. */
export async function exited({
  process: child,
}: Running): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return { code: child.exitCode, signal: child.signalCode };
}

/** Not of those that have ended and that nobody has buried. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

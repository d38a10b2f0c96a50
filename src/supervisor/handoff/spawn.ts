/**
 * Starts the successor from the running supervisor: the same command as this
 * process was started with, looked up anew, so that what a deployment has put in
 * its place is what starts. The two are connected from the beginning; no path is
 * needed where they would meet.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import type { Libc } from '../../shared/memory/libc.ts';
import { explainSystemError } from '../../shared/open-files.ts';
import { Channel } from './channel.ts';
import { HandoffFailure } from './failure.ts';
import { HANDOFF_VARIABLE } from './inherited.ts';

/** How this process was started. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

/** In the child, the end of the connection. */
const CHILD_FD = 3;
/** Before anything changes the folder. */
export function ownCommand(): Command {
  const [, script = '', ...args] = process.argv;
  return {
    file: process.execPath,
    args: [...process.execArgv, script, ...args],
    cwd: namedFolder(),
  };
}

/** With its symbolic links: `current` may lead to another release by then. */
function namedFolder(): string {
  const real = process.cwd();
  const named = process.env['PWD'];
  if (named === undefined) return real;
  const [one, other] = [real, named].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev ? named : real;
}

export interface Spawned {
  readonly channel: Channel;
  /** Once the hand-off has failed: ends the process if it does not end by itself. */
  abandon(): void;
  /** The process serves; it outlives this one. */
  release(): void;
  /** How it ended; undefined while it runs. */
  readonly end: string | undefined;
}

/** To let requests finish that it has accepted already. */
const ABANDON_MS = 60_000;

/** @throws {HandoffFailure} there is no such program any more, or no such folder */
export async function spawnSuccessor(libc: Libc, command: Command): Promise<Spawned> {
  const [ours, theirs] = libc.socketPair();
  try {
    const child = await spawned(command, theirs);
    return watched(new Channel(libc, ours, `the successor (process ${child.pid})`), child);
  } catch (thrown) {
    libc.close(ours);
    throw new HandoffFailure('failed', `cannot start the successor: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  } finally {
    libc.close(theirs);
  }
}

function spawned({ file, args, cwd }: Command, fd: number): Promise<ChildProcess> {
  const child = spawn(file, args, {
    cwd,
    // Of a session of its own: it is no part of this process, which ends before it.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', fd],
    env: { ...process.env, PWD: cwd, [HANDOFF_VARIABLE]: String(CHILD_FD) },
  });
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(explainSystemError(error), { cause: error })));
    child.once('spawn', () => resolve(child));
  });
}

function watched(channel: Channel, child: ChildProcess): Spawned {
  let end: string | undefined;
  let killer: NodeJS.Timeout | undefined;
  child.on('error', () => {}); // It could not be killed; it has ended.
  child.once('exit', (code, signal) => {
    end = signal === null ? `with code ${code}` : `by ${signal}`;
    clearTimeout(killer);
  });
  return {
    channel,
    get end() {
      return end;
    },
    abandon() {
      if (end === undefined) killer = setTimeout(() => child.kill('SIGKILL'), ABANDON_MS);
      killer?.unref();
      child.unref();
    },
    release: () => child.unref(),
  };
}

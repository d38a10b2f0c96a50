/**
 * A server under measurement: one process (with children) that was started on a
 * free port of the loopback from a generated configuration, on cores of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, closeSync, mkdirSync, readFileSync, truncateSync } from 'node:fs';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { BenchFailure } from '../failure.ts';
import { processTree } from '../cpu.ts';
import { pinned } from '../pin.ts';

/** A kind of server that can be compared. */
export interface ServerKind {
  readonly name: string;
  /** Why it cannot run on this machine; `undefined` if it can. */
  missing(): string | undefined;
  /** As it calls itself. */
  version(): string;
  /** Forwards every request to the origin. */
  start(options: StartOptions): Promise<RunningServer>;
}

export interface StartOptions {
  /** `127.0.0.1:port` */
  readonly origin: string;
  readonly cores: readonly number[];
  /** Empty, for configuration and logs; who gives it removes it. */
  readonly folder: string;
  readonly setup: Setup;
}

/** How a server is set up for the work that is measured. */
export interface Setup {
  /** Processes or threads that serve. */
  readonly workers: number;
  /** What it moves bodies with: what it comes with, or buffers of 64 KiB, where they can be set. */
  readonly buffers: 'default' | '64 KiB';
  /** How many client connections it must be able to hold. */
  readonly connections: number;
}

export const USUAL_SETUP: Setup = { workers: 1, buffers: 'default', connections: 1_000 };

export interface RunningServer extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** Grows with every request: see `cutAccessLog`. */
  readonly accessLog: string | undefined;
}

export interface LaunchOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly cores: readonly number[];
  readonly folder: string;
  readonly stopSignal: NodeJS.Signals;
  readonly accessLog?: string;
  /** Besides ours. */
  readonly env?: Readonly<Record<string, string>>;
}

const READY_WITHIN_MS = 20_000;
const STOPPED_WITHIN_MS = 10_000;

/**
 * Starts it and waits until it answers 200.
 *
 * @throws {BenchFailure} it ended, or was not ready in time; with what it printed
 */
export async function launch(options: LaunchOptions): Promise<RunningServer> {
  const { name, command, args, port, cores, folder, stopSignal, accessLog, env } = options;
  const printed = join(folder, `${name}.out`);
  const out = openSync(printed, 'a');
  const child = spawn(...pinned(cores, command, args), {
    stdio: ['ignore', out, out],
    env: { ...process.env, ...env },
  });
  closeSync(out);
  try {
    await ready(child, port);
  } catch (thrown) {
    await stop(child, stopSignal);
    const text = readFileSync(printed, 'utf8').trim();
    throw new BenchFailure(`${name}: ${(thrown as Error).message}\n${text}`, { cause: thrown });
  }
  return {
    name,
    port,
    pid: child.pid!,
    accessLog,
    [Symbol.asyncDispose]: () => stop(child, stopSignal),
  };
}

/** Its owner appends to it and notices nothing. Else a run of minutes would fill the disk. */
export function cutAccessLog({ accessLog }: RunningServer): void {
  if (accessLog !== undefined) truncateSync(accessLog);
}

/** One that nothing listens on now. Another process could take it first; then the start fails and says so. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A folder inside the one of this run. */
export function folderFor(folder: string, name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  let failed: Error | undefined;
  child.once('error', (error) => {
    failed = error;
  });
  const giveUpAt = Date.now() + READY_WITHIN_MS;
  for (;;) {
    if (failed !== undefined) throw failed;
    if (hasEnded(child)) throw new Error('ended at its start');
    if ((await statusOf(port)) === 200) return;
    if (Date.now() > giveUpAt) throw new Error(`gave no 200 within ${READY_WITHIN_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** 0 if there is no answer. */
function statusOf(port: number): Promise<number> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, agent: false, timeout: 1_000 }, (response) => {
      response.resume();
      response.on('close', () => resolve(response.statusCode ?? 0));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(0));
  });
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const tree = processTree(child.pid);
  child.kill(signal);
  const late = setTimeout(() => tree.forEach(killHard), STOPPED_WITHIN_MS);
  await ended;
  clearTimeout(late);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}

/**
 * Starts this program once more, in a session of its own, and waits until the
 * new process says how its start went: for `-d`, and for the successor of an
 * upgrade. The two talk over a pipe, one line of JSON, then it is closed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { explainSystemError } from '../shared/open-files.ts';
import { readLine } from './control/line-reader.ts';

export interface Launch {
  /** After the program's file. */
  readonly args: readonly string[];
  /** Where its standard output and error go. */
  readonly output: number | 'ignore';
  /** Instead of waiting for ever; a process that is late is ended. */
  readonly timeoutMs: number;
  /** Ends the process too. */
  readonly abort?: AbortSignal;
}

export type Launched =
  /** It serves, or waits for a hand-off. */
  | { readonly kind: 'ready' | 'waiting'; readonly pid: number }
  /** It has ended, or is ended by now. */
  | { readonly kind: 'failed'; readonly reason: string };

/** What the new process says. */
type Report =
  | { readonly kind: 'ready' | 'waiting' }
  | { readonly kind: 'failed'; readonly reason: string };

const REPORT_FD_VARIABLE = 'SLUICE_REPORT_FD';
/** The first after standard input, output and error. */
const REPORT_FD = 3;
const MAX_REPORT_BYTES = 1024 * 1024;
/** For a process that is ended to end its workers. */
const STOP_WITHIN_MS = 5_000;

export async function launch({ args, output, timeoutMs, abort }: Launch): Promise<Launched> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    env: { ...process.env, [REPORT_FD_VARIABLE]: String(REPORT_FD) },
  });
  const timers: NodeJS.Timeout[] = [];
  const after = (ms: number, act: () => void) => void timers.push(setTimeout(act, ms));
  let givenUp: string | undefined;
  const giveUp = (why: string) => {
    givenUp ??= why;
    child.kill('SIGINT');
    after(STOP_WITHIN_MS, () => child.kill('SIGKILL'));
  };
  after(timeoutMs, () => giveUp(`it was not ready within ${timeoutMs / 1_000} s, and was ended`));
  const onAbort = () => giveUp('it was told to stop before it was ready');
  abort?.addEventListener('abort', onAbort, { once: true });
  try {
    return await reported(child, () => givenUp);
  } finally {
    timers.forEach(clearTimeout);
    abort?.removeEventListener('abort', onAbort);
    child.unref();
  }
}

async function reported(
  child: ChildProcess,
  whyEnded: () => string | undefined,
): Promise<Launched> {
  const ending = endOf(child);
  // Out of descriptors or processes: then it does not even have its streams.
  if (child.pid === undefined)
    return { kind: 'failed', reason: `it cannot be started: ${await ending}` };
  const pipe = child.stdio[REPORT_FD] as Socket;
  let line: string;
  try {
    line = await readLine(pipe, MAX_REPORT_BYTES);
  } catch {
    const how = await ending;
    return { kind: 'failed', reason: whyEnded() ?? `it ended before it was ready: ${how}` };
  } finally {
    pipe.destroy();
  }
  const report = JSON.parse(line) as Report;
  if (report.kind !== 'failed') return { kind: report.kind, pid: child.pid };
  await ending;
  return report;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    child.once('error', (error) => resolve(explainSystemError(error)));
  });
}

/** In the new process: the one that has started it and waits for a word. */
export class Starter {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
    // What nobody catches ends the process; whoever waits should hear why.
    process.on('uncaughtExceptionMonitor', (error) => this.failed(error.stack ?? String(error)));
  }

  /** Undefined if nobody waits. */
  static fromEnvironment(): Starter | undefined {
    const fd = Number(process.env[REPORT_FD_VARIABLE]);
    // Not for those that this process starts.
    delete process.env[REPORT_FD_VARIABLE];
    return fd === REPORT_FD ? new Starter(fd) : undefined;
  }

  /** It serves. */
  ready(): void {
    this.#report({ kind: 'ready' });
  }

  /** It serves nothing yet, but waits for a predecessor. */
  waiting(): void {
    this.#report({ kind: 'waiting' });
  }

  /** The process is about to end. */
  failed(reason: string): void {
    this.#report({ kind: 'failed', reason });
  }

  /** The first word counts. */
  #report(report: Report): void {
    if (this.#fd === undefined) return;
    try {
      writeSync(this.#fd, `${JSON.stringify(report)}\n`);
    } catch {
      // Nobody waits any more.
    }
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

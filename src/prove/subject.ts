/** The Sluice that is put to the proof: processes of our own, which end with us. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { ProveFailure } from './failure.ts';
import type { Endpoint } from './wire/connection.ts';

/** For a process to start, to end, to have its workers again. Far above what any of them takes. */
const PATIENCE_MS = 30_000;

/** Of its log, to show when it goes wrong. */
const KEPT_LINES = 40;

export interface SubjectOptions {
  /** The `sluice` command, as this process would run it. */
  readonly command: readonly string[];
  readonly confFile: string;
  readonly endpoints: readonly Endpoint[];
  readonly adminPort: number;
}

/** As much of the admin page's account as the proof needs. */
interface Status {
  readonly state: string;
  readonly pid: number;
  readonly workers: readonly { readonly state: string; readonly pid: number }[];
  readonly lastReload?: {
    readonly successful: boolean;
    readonly at: number;
    readonly reason?: string;
  };
}

/** Old processes that still drain. More of them, and something does not end as it should. */
const MAX_DRAINING = 6;

export class Subject implements AsyncDisposable {
  readonly #options: SubjectOptions;
  readonly #supervisors: Supervisor[] = [];

  private constructor(options: SubjectOptions) {
    this.#options = options;
  }

  /** @throws {ProveFailure} it does not start */
  static async start(options: SubjectOptions): Promise<Subject> {
    const subject = new Subject(options);
    try {
      await subject.#launch([]).says('serving');
      return subject;
    } catch (thrown) {
      await subject[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get endpoints(): readonly Endpoint[] {
    return this.#options.endpoints;
  }

  /** Of the workers that take new connections. */
  async workers(): Promise<readonly number[]> {
    const { workers } = await this.#status();
    return workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid);
  }

  /** Resolves once that worker's place is taken by another. */
  async replaced(pid: number, among: number): Promise<void> {
    await this.#eventually(`worker ${pid} to be replaced`, async () => {
      const ready = await this.workers();
      return ready.length === among && !ready.includes(pid);
    });
  }

  /** @throws {ProveFailure} it was refused */
  async reload(): Promise<void> {
    const before = (await this.#status()).lastReload?.at;
    this.#current.signal('SIGHUP');
    await this.#eventually('the end of a reload', async () => {
      const { lastReload } = await this.#status();
      if (lastReload === undefined || lastReload.at === before) return false;
      if (lastReload.successful) return true;
      throw new ProveFailure(`a reload was refused: ${lastReload.reason}`);
    });
  }

  /** As an operator does it: a process that waits, and a signal to the one that runs. */
  async upgrade(): Promise<void> {
    const old = this.#current;
    const successor = this.#launch(['-u']);
    old.signal('SIGQUIT');
    await successor.says('serving');
    await this.#eventually('the successor to be the one', async () => {
      const { pid, state } = await this.#status();
      return pid === successor.pid && state === 'serving';
    });
    await this.#notTooMany();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.end()));
  }

  get #current(): Supervisor {
    return this.#supervisors.at(-1)!;
  }

  #launch(args: readonly string[]): Supervisor {
    const { command, confFile } = this.#options;
    const supervisor = new Supervisor([...command, '-c', confFile, ...args]);
    this.#supervisors.push(supervisor);
    void supervisor.gone.then(() => {
      this.#supervisors.splice(this.#supervisors.indexOf(supervisor), 1);
    });
    return supervisor;
  }

  async #status(): Promise<Status> {
    const answer = await fetch(`http://127.0.0.1:${this.#options.adminPort}/status`);
    return (await answer.json()) as Status;
  }

  async #notTooMany(): Promise<void> {
    if (this.#supervisors.length <= MAX_DRAINING) return;
    const oldest = this.#supervisors[0]!;
    const tooLate = new AbortController();
    const patience = wait(PATIENCE_MS, undefined, { signal: tooLate.signal }).then(() => {
      throw new ProveFailure(`an old process does not end; ${oldest.lastWords}`);
    });
    await Promise.race([oldest.gone, patience]);
    tooLate.abort();
    await patience.catch(() => {});
  }

  async #eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    while (!(await orNotYet(holds()))) {
      if (performance.now() > giveUpAt)
        throw new ProveFailure(`waited ${PATIENCE_MS} ms for ${what}; ${this.#current.lastWords}`);
      await wait(10);
    }
  }
}

/** Between two processes, nobody may answer on the admin page for a moment. */
async function orNotYet(holds: Promise<boolean>): Promise<boolean> {
  try {
    return await holds;
  } catch (thrown) {
    if (thrown instanceof ProveFailure) throw thrown;
    return false;
  }
}

/** A process of Sluice's that we started, and what it has said. */
class Supervisor {
  readonly gone: Promise<void>;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();

  constructor([file = '', ...args]: readonly string[]) {
    this.#process = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    this.#process.once('error', () => resolve());
    this.#process.once('exit', () => resolve());
    createInterface({ input: this.#process.stderr! }).on('line', (line) => {
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      for (const listener of this.#listeners) listener(line);
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  get lastWords(): string {
    return `its last words:\n${this.#lines.join('\n')}`;
  }

  /**
   * Resolves with a line of the log that has this message.
   *
   * @throws {ProveFailure} the process ends before, or takes too long
   */
  says(message: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const hear = (line: string) => {
      if (messageIn(line) === message) resolve();
    };
    const fail = (why: string) =>
      reject(new ProveFailure(`sluice ${why} before "${message}"; ${this.lastWords}`));
    const tooLate = setTimeout(fail, PATIENCE_MS, `took more than ${PATIENCE_MS} ms`);
    this.#listeners.add(hear);
    this.#lines.forEach(hear);
    void this.gone.then(() => fail('ended'));
    return promise.finally(() => {
      clearTimeout(tooLate);
      this.#listeners.delete(hear);
    });
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null || signalCode !== null) return;
    this.#process.kill('SIGINT');
    const tooLate = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
    await this.gone;
    clearTimeout(tooLate);
  }
}

function messageIn(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { msg?: string }).msg;
  } catch {
    return undefined; // not of the log
  }
}

/** A supervisor that we have started, and what it has said. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ProveFailure } from './failure.ts';
import { PATIENCE_MS } from './status-page.ts';

/** Of its log, to show when it goes wrong. */
const KEPT_LINES = 40;

export class Supervisor {
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

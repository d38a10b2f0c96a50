/** A Sluice of our own, from a copied configuration: its processes end with us. */
import { setTimeout as wait } from 'node:timers/promises';
import { ProveFailure } from './failure.ts';
import { PATIENCE_MS, StatusPage } from './status-page.ts';
import type { Subject } from './subject.ts';
import { Supervisor } from './supervisor-process.ts';
import type { Endpoint } from './wire/connection.ts';

export interface CopiedSluiceOptions {
  /** The `sluice` command, as this process would run it. */
  readonly command: readonly string[];
  readonly confFile: string;
  readonly threads: number;
  /** Before each upgrade and reload, for one worker more or fewer; `undefined`: always as many. */
  readonly resize: ((threads: number) => void) | undefined;
  readonly endpoints: readonly Endpoint[];
  readonly adminPort: number;
  readonly graceMs: number;
}

/** Old processes that still drain. More of them, and something does not end as it should. */
const MAX_DRAINING = 6;

export class CopiedSluice implements Subject, AsyncDisposable {
  readonly #options: CopiedSluiceOptions;
  readonly #page: StatusPage;
  /** The one that serves is the last. */
  readonly #supervisors: Supervisor[] = [];
  #isLarger = false;
  #isOver = false;

  private constructor(options: CopiedSluiceOptions) {
    this.#options = options;
    this.#page = new StatusPage(`127.0.0.1:${options.adminPort}`);
  }

  /** @throws {ProveFailure} it does not start */
  static async start(options: CopiedSluiceOptions): Promise<CopiedSluice> {
    const subject = new CopiedSluice(options);
    try {
      await subject.#launch([]).says('serving');
      return subject;
    } catch (thrown) {
      await subject[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** What is done to it meanwhile fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.end()));
  }

  get endpoints(): readonly Endpoint[] {
    return this.#options.endpoints;
  }

  get graceMs(): number {
    return this.#options.graceMs;
  }

  workers(): Promise<readonly number[]> {
    return this.#page.workers();
  }

  replaced(pid: number, among: number): Promise<void> {
    return this.#page.replaced(pid, among);
  }

  async reload(): Promise<void> {
    this.#resize();
    const before = (await this.#page.read()).lastReload?.at;
    this.#current.signal('SIGHUP');
    await this.#page.until('the end of a reload', ({ lastReload }) => {
      if (lastReload === undefined || lastReload.at === before) return false;
      if (lastReload.successful) return true;
      throw new ProveFailure(`a reload was refused: ${lastReload.reason}`);
    });
  }

  /** The way that needs no service manager: a process that waits, and a signal to the one that runs. */
  async upgrade(): Promise<void> {
    this.#resize();
    const old = this.#current;
    const successor = this.#launch(['-u']);
    old.signal('SIGQUIT');
    await successor.says('serving');
    await this.#page.until(
      'the successor to be the one',
      ({ pid, state }) => pid === successor.pid && state === 'serving',
    );
    await this.#notTooMany();
  }

  #resize(): void {
    const { threads, resize } = this.#options;
    this.#isLarger = !this.#isLarger;
    resize?.(this.#isLarger ? threads + 1 : threads);
  }

  get #current(): Supervisor {
    return this.#supervisors.at(-1)!;
  }

  #launch(args: readonly string[]): Supervisor {
    // Nobody would end it.
    if (this.#isOver) throw new ProveFailure('the proof is over');
    const { command, confFile } = this.#options;
    const supervisor = new Supervisor([...command, '-c', confFile, ...args]);
    this.#supervisors.push(supervisor);
    void supervisor.gone.then(() => {
      this.#supervisors.splice(this.#supervisors.indexOf(supervisor), 1);
    });
    return supervisor;
  }

  async #notTooMany(): Promise<void> {
    if (this.#supervisors.length <= MAX_DRAINING) return;
    const oldest = this.#supervisors[0]!;
    const giveUp = new AbortController();
    const patience = wait(PATIENCE_MS, 'late' as const, { signal: giveUp.signal }).catch(() => {});
    const first = await Promise.race([oldest.gone, patience]);
    giveUp.abort();
    if (first === 'late')
      throw new ProveFailure(`process ${oldest.pid} should have ended; ${oldest.lastWords}`);
  }
}

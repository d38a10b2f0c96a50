/**
 * A program's way into Sluice. The same lines run in every process of it: in
 * the first one `run()` becomes the supervisor, in the forked ones a worker.
 */
import './runtime-floor.ts';
import cluster from 'node:cluster';
import type { Settings } from '../shared/config/settings.ts';
import { refuseUnknown } from '../shared/config/options.ts';
import { isCheck, readBoot } from '../shared/ipc/boot.ts';
import { sealMetrics } from '../shared/metrics/program.ts';
import { monotonicNs, type Clock } from '../shared/time/clock.ts';
import type { PemContents } from '../shared/tls/pem-files.ts';
import type { Service } from './service.ts';
import type { CreateOptions } from './create-options.ts';
import type { Role, SupervisorSide } from './supervisor-side.ts';
import type { StartHook } from './start-hooks.ts';
import { loadSync } from './load-sync.ts';

export interface ServerOptions {
  /** Arguments after the program's name. Default: those of the process. */
  readonly args?: readonly string[];
  /** The clock of limits and health, in nanoseconds; tests hold it still. Default: CLOCK_MONOTONIC. */
  readonly clock?: Clock;
}

export class Server {
  /** The checked configuration: the file's, or the defaults without a file. */
  readonly settings: Settings;
  /** Top-level keys of the file that are not Sluice's: yours. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly clock: Clock;
  readonly #services: Service[] = [];
  readonly #startHooks: StartHook[] = [];
  readonly #pem: PemContents;
  readonly #supervisorSide: SupervisorSide | undefined;

  private constructor(clock: Clock, supervisorSide: SupervisorSide | undefined) {
    const { settings, user, pem } = supervisorSide ?? readBoot();
    this.settings = settings;
    this.configuration = user;
    this.clock = clock;
    this.#pem = pem;
    this.#supervisorSide = supervisorSide;
  }

  /**
   * Reads the command line (`-c FILE -t --threads N`) and the configuration it
   * names. With `--help`, `--version`, or something wrong with either, it says
   * so and ends the process.
   *
   * @throws {TypeError} an option is unknown
   */
  static fromArgs(options: ServerOptions = {}): Server {
    refuseUnknown('Server.fromArgs', options, { args: true, clock: true });
    const { args, clock = monotonicNs } = options;
    const role = roleHere();
    if (role === 'worker') return new Server(clock, undefined);
    return new Server(clock, supervisorSide().fromArgs(args ?? process.argv.slice(2), role));
  }

  /**
   * As `fromArgs`, with options in code instead of a command line. If something is wrong with
   * them or with the configuration, it says so and ends the process.
   *
   * @example
   * const server = Server.create({ configuration: { threads: 2, log: { level: 'warn' } } });
   */
  static create(options: CreateOptions = {}): Server {
    const { clock = monotonicNs } = options;
    const role = roleHere();
    if (role === 'worker') return new Server(clock, undefined);
    return new Server(clock, supervisorSide().fromOptions(options, role));
  }

  /**
   * What is in a PEM file, for `PeerOptions`. The first process reads it and hands
   * it to the workers, which may not be allowed to any more. If it cannot be read,
   * the process says so and ends.
   *
   * @param path relative to `working_directory`, as in the configuration
   */
  readPem(path: string): string {
    if (this.#supervisorSide !== undefined) return this.#supervisorSide.readPem(path);
    const text = this.#pem[path];
    if (text !== undefined) return text;
    throw new Error(`readPem: the first process did not read ${path}, so no worker can`);
  }

  /** @throws {Error} a service of that name was added before */
  addService(service: Service): this {
    for (const other of this.#services) {
      if (other.name === service.name)
        throw new Error(`a service named "${service.name}" was added before`);
    }
    this.#services.push(service);
    return this;
  }

  /**
   * Runs once, in the supervisor, when all workers are ready: for what a program has to
   * say or do once and not in each of its processes. Not again for a worker that
   * replaces another. Throwing, also later, ends the start with a message and code 1.
   */
  onStart(hook: StartHook): this {
    this.#startHooks.push(hook);
    return this;
  }

  /**
   * Runs until the process is told to stop, then ends it: with 0 after an orderly
   * stop, with 1 and one message if it cannot start. Code after it does not run.
   */
  async run(): Promise<never> {
    sealMetrics();
    if (this.#supervisorSide !== undefined) {
      return this.#supervisorSide.run({ services: this.#services, startHooks: this.#startHooks });
    }
    const { runWorker } = await import('./worker-side.ts');
    return runWorker(this.#services, this.clock);
  }
}

/** Loaded in the first process alone: the schema library takes its time, and workers do not need it. */
/** What this process of the program is for. */
function roleHere(): Role | 'worker' {
  if (!cluster.isWorker) return 'first';
  return isCheck() ? 'check' : 'worker';
}

function supervisorSide(): typeof SupervisorSide {
  const path = './supervisor-side';
  return loadSync<typeof import('./supervisor-side.ts')>(path, import.meta.url).SupervisorSide;
}

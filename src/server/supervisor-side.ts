/** What a program's first process does: read the command line, check, supervise, stop. */
import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultConfig, loadConfig, objectConfig } from '../shared/config/load.ts';
import type { Loaded, Refused } from '../shared/config/load.ts';
import { formatProblem, formatProblems } from '../shared/config/problem.ts';
import type { Settings } from '../shared/config/settings.ts';
import { collide, showPlace } from '../shared/ipc/place.ts';
import { endWithVerdict } from '../shared/ipc/check.ts';
import type { ListenAddress, Plan } from '../shared/ipc/plan.ts';
import { createLog, type Log } from '../shared/log/log.ts';
import type { PemContents, PemFiles } from '../shared/tls/pem-files.ts';
import { readArgs, type Options } from '../supervisor/cli/args.ts';
import type { VerbCall } from '../supervisor/cli/run-verb.ts';
import { controlPath, type ControlPath } from '../supervisor/control/control-path.ts';
import { settleAsDaemon, startDaemon } from '../supervisor/daemon.ts';
import { Starter } from '../supervisor/launch.ts';
import { ownCommand } from '../supervisor/handoff/spawn.ts';
import { claimFrom, openSuccession, startAfter } from '../supervisor/handoff/succeed.ts';
import type { Succession } from '../supervisor/handoff/successor.ts';
import { tellWhoStartedUs, wasStartedBySupervisor } from '../supervisor/handoff/inherited.ts';
import type { Inheritance } from '../supervisor/inheritance.ts';
import { Lifecycle } from '../supervisor/lifecycle.ts';
import { Signals } from '../supervisor/signals.ts';
import {
  startSupervisor,
  type StartedSupervisor,
  type SupervisorParts,
} from '../supervisor/start.ts';
import { StartupError } from '../supervisor/startup-error.ts';
import { meetServiceManager, observerFor } from '../supervisor/systemd/supervised.ts';
import { optionsFrom, type CreateOptions } from './create-options.ts';
import { dependenciesOf } from './dependencies.ts';
import { ListeningService, type Service } from './service.ts';
import { runStartHooks, type StartHook } from './start-hooks.ts';
import { planOf } from './plan.ts';
import { version } from './version.ts';

/** What the program has put together by the time it runs. */
export interface Program {
  readonly services: readonly Service[];
  readonly startHooks: readonly StartHook[];
}

/** `first`: of a program's processes; `check`: it tries the configuration out, and ends. */
export type Role = 'first' | 'check';

export class SupervisorSide {
  readonly settings: Settings;
  readonly user: Readonly<Record<string, unknown>>;
  readonly #pem: PemFiles;
  readonly #options: Options;
  readonly #role: Role;
  readonly #warnings: string[];

  private constructor(
    { settings, user, pem, warnings, source }: Loaded,
    options: Options,
    role: Role,
  ) {
    this.#role = role;
    const threads = options.threads ?? settings.threads;
    this.settings = { ...settings, threads, daemon: options.daemon || settings.daemon };
    this.user = user;
    this.#pem = pem;
    this.#options = options;
    this.#warnings = warnings.map((problem) => formatProblem(problem, source));
  }

  get pem(): PemContents {
    return this.#pem.contents;
  }

  readPem(path: string): string {
    try {
      return this.#pem.read(path);
    } catch (thrown) {
      return refuse(new StartupError((thrown as Error).message, { cause: thrown }), this.#role);
    }
  }

  /** Ends the process itself where there is nothing to run. */
  static fromArgs(args: readonly string[], role: Role): SupervisorSide {
    if (role === 'check') refuseWhateverIsThrown();
    try {
      const invocation = readArgs(args, programName(), version());
      if (invocation.kind === 'print') return endWith(0, invocation.text);
      if (invocation.kind === 'ask') {
        const { kind: _, ...asked } = invocation;
        return endAsVerb({ ...asked, program: programName(), main: process.argv[1]! });
      }
      return SupervisorSide.#load(invocation.options, role);
    } catch (thrown) {
      return refuse(thrown, role);
    }
  }

  /** As `fromArgs`, with what a program says instead of a command line. */
  static fromOptions(options: CreateOptions, role: Role): SupervisorSide {
    if (role === 'check') refuseWhateverIsThrown();
    try {
      return SupervisorSide.#load(optionsFrom(options), role, options.configuration);
    } catch (thrown) {
      return refuse(thrown, role);
    }
  }

  /** @param configuration instead of a file */
  static #load(options: Options, role: Role, configuration?: object): SupervisorSide {
    const loaded = load(options.conf, configuration);
    if (!loaded.ok) return endRefused(formatProblems(loaded.problems, loaded.source), role);
    return new SupervisorSide(loaded, options, role);
  }

  async run(program: Program): Promise<never> {
    return this.#role === 'check' ? this.#check(program) : this.#run(program);
  }

  /** For a reload: says what a supervisor needs to know, or what is wrong. */
  async #check({ services }: Program): Promise<never> {
    try {
      this.#checkServices(services);
      const plan = this.#plan(services);
      await tryOut(services, plan);
      return endWithVerdict({ kind: 'plan', plan, warnings: this.#warnings, version: version() });
    } catch (thrown) {
      return refuse(thrown, this.#role);
    }
  }

  async #run(program: Program): Promise<never> {
    // Before anything else: without a listener, SIGUSR1 would open Node's debugger.
    const signals = new Signals();
    const starter = Starter.fromEnvironment();
    const isStarted = starter !== undefined || wasStartedBySupervisor();
    try {
      this.#checkServices(program.services);
      if (this.#options.test) return await this.#reportTest(program);
      if (this.settings.daemon && !isStarted) return await this.#detach();
      return await this.#supervise(program, signals, starter);
    } catch (thrown) {
      if (thrown instanceof StartupError) starter?.failed(thrown.message);
      return refuse(thrown, this.#role);
    }
  }

  /** Not from here on, but from its beginning: the program's own state is no business of a copy. */
  async #detach(): Promise<never> {
    for (const warning of this.#warnings) process.stderr.write(`${warning}\n`);
    await startDaemon(this.settings, process.argv.slice(2));
    process.exit(0);
  }

  #checkServices(services: readonly Service[]): void {
    if (services.length === 0) {
      throw new StartupError(
        'there is no service to run: give a configuration file with services (-c FILE), or add one in your program',
      );
    }
    const others: ListenAddress[] = [];
    for (const service of services) {
      if (!(service instanceof ListeningService)) continue;
      const { name, listen } = service;
      if (listen.length === 0)
        throw new StartupError(`service "${name}" has no address to listen on`);
      for (const address of listen) {
        refuseCollision(address, others);
        others.push(address);
        this.#checkIdentity(address);
      }
    }
    checkDependencies(services);
  }

  #checkIdentity({ service, place, tls }: ListenAddress): void {
    const findings = tls === undefined ? [] : this.#pem.checkIdentity(tls);
    const told = findings.map(
      ({ message }) => `service "${service}" on ${showPlace(place)}: ${message}`,
    );
    if (findings.some(({ severity }) => severity === 'problem'))
      throw new StartupError(told.join('\n'));
    this.#warnings.push(...told);
  }

  async #reportTest({ services }: Program): Promise<never> {
    await tryOut(services, this.#plan(services));
    for (const warning of this.#warnings) process.stderr.write(`${warning}\n`);
    return endWith(0, `${this.#options.conf ?? 'the default configuration'}: ok`);
  }

  async #supervise(
    { services, startHooks }: Program,
    signals: Signals,
    starter: Starter | undefined,
  ): Promise<never> {
    const { settings } = this;
    if (settings.daemon) settleAsDaemon();
    const control = this.#controlPath();
    const command = ownCommand();
    if (settings.working_directory !== undefined) changeDirectory(settings.working_directory);
    const log = openLog(settings);
    for (const warning of this.#warnings) log.warn({ conf: this.#options.conf }, warning);
    const { passed, manager } = meetServiceManager(log);
    let started: StartedSupervisor | undefined;
    let inherited: Inheritance | undefined;
    const observer =
      manager &&
      observerFor(manager, {
        passed,
        operations: () => lifecycle,
        inherited: () => inherited,
        inventory: () => started?.inventory(),
      });
    const lifecycle: Lifecycle = new Lifecycle(log, version(), observer);
    signals.direct(lifecycle, log);
    const onMainProcess = (pid: number) => manager?.mainProcess(pid);
    const parts = { log, control, command, passed, operations: lifecycle, onMainProcess };
    let succession: Succession | undefined;
    await lifecycle.run({
      start: async (abort, drain) => {
        const givenUp = AbortSignal.any([abort, drain]);
        succession = this.#succession(log, givenUp);
        if (succession === undefined)
          return (started = await this.#start(services, { ...parts, abort }));
        starter?.waiting();
        started = await startAfter(succession, givenUp, (inheritance, stop) => {
          inherited = inheritance;
          return this.#start(services, { ...parts, abort: stop, inheritance });
        });
        return started;
      },
      whenUp: async (supervisor) => {
        const runHooks = () => this.#runHooks(startHooks, supervisor, log);
        if (succession === undefined) await runHooks();
        else {
          await claimFrom(succession, supervisor, async () => {
            await supervisor.open();
            await runHooks();
          });
          await supervisor.answer();
        }
        const { addresses, adminAddress: admin } = supervisor;
        log.info({ addresses, admin, threads: settings.threads }, 'serving');
        starter?.ready();
      },
    });
    log.info({}, 'stopped');
    log.flush();
    process.exit(0);
  }

  /** Before the process leaves the folder where it was started. */
  #controlPath(): ControlPath {
    try {
      return controlPath(this.settings, this.#options.conf ?? process.argv[1]!, process.cwd());
    } catch (thrown) {
      throw new StartupError((thrown as Error).message, { cause: thrown });
    }
  }

  async #start(
    services: readonly Service[],
    parts: Omit<SupervisorParts, 'version' | 'conf'>,
  ): Promise<StartedSupervisor> {
    const { conf } = this.#options;
    return startSupervisor(this.#plan(services), { ...parts, conf, version: version() });
  }

  #plan(services: readonly Service[]): Plan {
    const { settings, user, pem } = this;
    return planOf(services, { settings, user, pem });
  }

  #succession(log: Log, abort: AbortSignal): Succession | undefined {
    const { upgrade } = this.#options;
    return openSuccession({ settings: this.settings, upgrade, release: version(), abort, log });
  }

  async #runHooks(
    hooks: readonly StartHook[],
    { addresses }: StartedSupervisor,
    log: Log,
  ): Promise<void> {
    try {
      await runStartHooks(hooks, { addresses });
    } catch (thrown) {
      // The end tells the message alone; where it came from is for the log.
      log.error({ err: (thrown as Error).cause ?? thrown }, 'onStart failed');
      throw thrown;
    }
  }
}

function load(conf: string | undefined, configuration: object | undefined): Loaded | Refused {
  if (configuration !== undefined) return objectConfig(configuration, process.env);
  return conf === undefined ? defaultConfig(process.env) : loadConfig(conf, process.env);
}

/** @throws {StartupError} they cannot all begin */
function checkDependencies(services: readonly Service[]): void {
  try {
    dependenciesOf(services);
  } catch (thrown) {
    throw new StartupError((thrown as Error).message, { cause: thrown });
  }
}

function refuseCollision(
  { service, place }: ListenAddress,
  others: readonly ListenAddress[],
): void {
  const other = others.find((each) => collide(each.place, place));
  if (other === undefined) return;
  const whose = other.service === service ? 'it' : `service "${other.service}"`;
  throw new StartupError(
    `service "${service}" cannot listen on ${showPlace(place)}: ${whose} listens on ${showPlace(other.place)} already`,
  );
}

function openLog({ error_log: path, log: { level }, daemon }: Settings): Log {
  try {
    const destination = path ?? 'stderr';
    return createLog({ level, destination, name: 'supervisor', ownsOutput: daemon });
  } catch (thrown) {
    throw new StartupError((thrown as Error).message, { cause: thrown });
  }
}

function changeDirectory(path: string): void {
  try {
    process.chdir(path);
  } catch (thrown) {
    throw new StartupError(`working_directory: ${(thrown as Error).message}`, { cause: thrown });
  }
}

function programName(): string {
  return basename(process.argv[1] ?? 'sluice').replace(/\.[cm]?[jt]s$/, '');
}

/** Waits, without going back to the program, and ends as the process that asks does. */
function endAsVerb(call: VerbCall): never {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const entry = new URL(`../supervisor/cli/verb-process${extension}`, import.meta.url);
  const { status, error } = spawnSync(
    process.execPath,
    [...process.execArgv, fileURLToPath(entry), JSON.stringify(call)],
    { stdio: 'inherit' },
  );
  if (error !== undefined) throw new StartupError(`cannot ask: ${error.message}`, { cause: error });
  process.exit(status ?? 2);
}

/** Builds what a worker builds, and nobody is served by it. */
async function tryOut(services: readonly Service[], plan: Plan): Promise<void> {
  const { buildForTrial } = await import('./worker-side.ts');
  try {
    buildForTrial(services, plan);
  } catch (thrown) {
    throw new StartupError((thrown as Error).message, { cause: thrown });
  }
}

/** In a process that checks, whatever the program throws is what is wrong with it. */
function refuseWhateverIsThrown(): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (thrown: unknown) => endRefused(reasonOf(thrown), 'check'));
}

function refuse(thrown: unknown, role: Role): never {
  if (thrown instanceof StartupError) {
    const prefix = role === 'first' ? `${programName()}: ` : '';
    return endRefused(`${prefix}${thrown.message}`, role);
  }
  if (role === 'first') throw thrown;
  return endRefused(reasonOf(thrown), role);
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

function endRefused(reason: string, role: Role): never {
  return role === 'check' ? endWithVerdict({ kind: 'refused', reason }) : endWith(1, reason);
}

function endWith(code: number, text: string): never {
  if (code !== 0) tellWhoStartedUs(text);
  (code === 0 ? process.stdout : process.stderr).write(`${text}\n`);
  process.exit(code);
}

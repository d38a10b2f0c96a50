/** One row of the comparison: some work, the servers that do it, and what Sluice may need for it. */
import { BenchFailure } from '../../support/failure.ts';
import { startOrigin, type Origin } from '../../support/peers/origin.ts';
import {
  folderFor,
  USUAL_SETUP,
  type RunningServer,
  type ServerKind,
  type Setup,
} from '../../support/peers/server.ts';

export interface Work {
  /** For `--work`. */
  readonly name: string;
  readonly title: string;
  run(run: Run): Promise<Outcome>;
}

export interface Run {
  /** The kinds of servers that were asked for, by name. */
  readonly peers: ReadonlySet<string>;
  /** Length of a measurement. */
  readonly seconds: number;
  readonly repetitions: number;
  /** Empty, of this work only. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Shows what is going on. */
  progress(text: string): void;
}

export interface Outcome {
  /** The table and what belongs to it. */
  readonly text: string;
  /** Some request failed, so the figures are not those of the work. */
  readonly hadErrors: boolean;
}

/** A kind of server as it takes part in one work. */
export interface Contender {
  /** In the table; several contenders may be of one kind. */
  readonly name: string;
  readonly kind: ServerKind;
  readonly setup?: Partial<Setup>;
}

export interface RunningContender extends Contender {
  readonly server: RunningServer;
}

/** Where things run. Load and origin are kept off the core of the servers, unless the work says otherwise. */
export interface Cores {
  readonly servers: readonly number[];
  readonly load: number;
  readonly origin: number;
}

export const USUAL_CORES: Cores = { servers: [0], load: 1, origin: 1 };

export function contender(
  kind: ServerKind,
  { name = kind.name, ...setup }: Partial<Setup> & { readonly name?: string } = {},
): Contender {
  return { name, kind, setup };
}

/** Those of them that were asked for; some may be missing on this machine. */
export function chosen(contenders: readonly Contender[], { peers }: Run): readonly Contender[] {
  return contenders.filter(({ kind }) => peers.has(kind.name));
}

export function canRun({ kind }: Contender): boolean {
  return kind.missing() === undefined;
}

/** First cell of its row. */
export function labelOf({ name, kind }: Contender): string {
  return canRun({ name, kind }) ? `${name} ${kind.version()}` : name;
}

/** A row for one without figures. */
export function absentRow(contender: Contender): readonly string[] {
  return [labelOf(contender), contender.kind.missing() ?? 'not measured'];
}

/** @param started takes care of its end */
export async function startOriginFor(
  run: Run,
  cores: Cores,
  started: AsyncDisposableStack,
): Promise<Origin> {
  return started.use(await startOrigin(cores.origin, folderFor(run.folder, 'origin')));
}

/** @param folder a new one, for its files */
export async function startContender(
  contender: Contender,
  options: { readonly origin: Origin; readonly cores: Cores; readonly folder: string },
): Promise<RunningContender> {
  const { origin, cores, folder } = options;
  const server = await contender.kind.start({
    origin: `127.0.0.1:${origin.port}`,
    cores: cores.servers,
    folder,
    setup: { ...USUAL_SETUP, ...contender.setup },
  });
  return { ...contender, server };
}

/** @throws {BenchFailure} none of them can be measured */
export function requireSome(contenders: readonly Contender[], work: string): void {
  if (contenders.some(canRun)) return;
  throw new BenchFailure(`${work}: none of the servers asked for is to be had on this machine`);
}

/** One row of the comparison: some work, the servers that do it, and what Sluice may need for it. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
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
  readonly contenders: readonly Contender[];
  /** Measures those of its contenders that take part. */
  run(run: Run): Promise<Outcome>;
}

export interface Run {
  /** Those that were asked for. Some may be missing on this machine, but not all. */
  readonly contenders: readonly Contender[];
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

/** The origin, in a folder of this run. */
export function startOriginFor({ folder }: Run, { origin }: Cores): Promise<Origin> {
  return startOrigin(origin, folderFor(folder, 'origin'));
}

export interface StartOptions {
  readonly origin: Origin;
  readonly cores: Cores;
  readonly run: Run;
}

/**
 * All that can run, up together.
 *
 * @param started lets go of them
 */
export async function startAll(
  options: StartOptions,
  started: AsyncDisposableStack,
): Promise<readonly RunningContender[]> {
  const running: RunningContender[] = [];
  for (const each of options.run.contenders.filter(canRun)) {
    const up = await startContender(each, options);
    started.use(up.server);
    running.push(up);
  }
  return running;
}

export async function startContender(
  contender: Contender,
  { origin, cores, run }: StartOptions,
): Promise<RunningContender> {
  const { name, kind, setup } = contender;
  const server = await kind.start({
    origin: `127.0.0.1:${origin.port}`,
    cores: cores.servers,
    folder: mkdtempSync(join(run.folder, `${name.replaceAll(' ', '-')}-`)),
    setup: { ...USUAL_SETUP, ...setup },
  });
  return { ...contender, server };
}

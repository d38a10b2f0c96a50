/** What a program says to `Server.create` instead of a command line. */
import { refuseUnknown } from '../shared/config/options.ts';
import type { Clock } from '../shared/time/clock.ts';
import type { Options } from '../supervisor/cli/args.ts';
import { StartupError } from '../supervisor/startup-error.ts';

export interface CreateOptions {
  /** Path of a configuration file. */
  readonly conf?: string;
  /**
   * Instead of a file: the same keys, as an object of plain data. Keys that are not Sluice's are
   * kept for `server.configuration`, as those of a file are. A `$` stands for itself.
   */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Workers; goes before what the configuration says. */
  readonly threads?: number;
  /** Only check, start nothing: `run` then says what it has found and ends the process. */
  readonly test?: boolean;
  /** Wait for a predecessor's sockets instead of opening them. */
  readonly upgrade?: boolean;
  /** The clock of limits and health, in nanoseconds; tests hold it still. Default: CLOCK_MONOTONIC. */
  readonly clock?: Clock;
}

const KNOWN = {
  conf: true,
  configuration: true,
  threads: true,
  test: true,
  upgrade: true,
  clock: true,
} as const;

const MAX_THREADS = 1_024;

/** @throws {StartupError} what is wrong with them */
export function optionsFrom(given: CreateOptions): Options {
  const { conf, configuration, threads, test = false, upgrade = false } = given;
  try {
    refuseUnknown('Server.create', given, KNOWN);
  } catch (thrown) {
    throw new StartupError((thrown as Error).message);
  }
  if (conf !== undefined && configuration !== undefined)
    throw wrong('expected either conf or configuration, got both');
  if (conf === '') throw wrong('conf: expected the path of a file, got ""');
  if (configuration !== undefined && !isPlainObject(configuration))
    throw wrong(`configuration: expected an object, got ${JSON.stringify(configuration)}`);
  if (
    threads !== undefined &&
    !(Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS)
  )
    throw wrong(`threads: expected a whole number from 1 to ${MAX_THREADS}, got ${threads}`);
  return { conf, threads, test, upgrade, daemon: false };
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(what: string): StartupError {
  return new StartupError(`Server.create: ${what}`);
}

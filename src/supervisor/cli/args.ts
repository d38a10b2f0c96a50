/** The command line, the same for `sluice` and for every program that calls `Server.fromArgs()`. */
import { parseArgs } from 'node:util';
import { StartupError } from '../startup-error.ts';

export interface Options {
  readonly conf: string | undefined;
  /** Only check, start nothing. */
  readonly test: boolean;
  readonly threads: number | undefined;
}

export type Invocation =
  | { readonly kind: 'run'; readonly options: Options }
  /** Print the text and exit with 0. */
  | { readonly kind: 'print'; readonly text: string };

/**
 * @param args what follows the program's name
 * @param program how the user called it, for the help text
 * @throws {StartupError} an option is unknown, incomplete, or not available
 */
export function readArgs(args: readonly string[], program: string, version: string): Invocation {
  const { values, positionals } = parse(args, program);
  if (values.help === true) return { kind: 'print', text: help(program) };
  if (values.version === true) return { kind: 'print', text: version };
  const [extra] = positionals;
  if (extra !== undefined) throw wrong(`unexpected argument "${extra}"`, program);
  if (values.conf === '') throw wrong('--conf: expected a file, got ""', program);
  for (const option of ['daemon', 'upgrade'] as const) {
    if (values[option] !== true) continue;
    throw wrong(
      `--${option} is not available in this version: run ${program} in the foreground, under a service manager`,
      program,
    );
  }
  return {
    kind: 'run',
    options: {
      conf: values.conf,
      test: values.test === true,
      threads: threadsFrom(values.threads, program),
    },
  };
}

function parse(args: readonly string[], program: string) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        conf: { type: 'string', short: 'c' },
        test: { type: 'boolean', short: 't' },
        daemon: { type: 'boolean', short: 'd' },
        upgrade: { type: 'boolean', short: 'u' },
        threads: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (thrown) {
    throw wrong((thrown as Error).message, program);
  }
}

function threadsFrom(given: string | undefined, program: string): number | undefined {
  if (given === undefined) return undefined;
  const threads = Number(given);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw wrong(`--threads: expected a whole number from 1 to 1024, got "${given}"`, program);
}

function wrong(what: string, program: string): StartupError {
  return new StartupError(`${what}\nTry: ${program} --help`);
}

function help(program: string): string {
  return `Usage: ${program} [options]

  -c, --conf FILE   configuration file (YAML)
  -t, --test        check the configuration, say what is wrong with it, start nothing
      --threads N   worker processes; the default is one per core
  -h, --help        this text
      --version     the version

Signals to the supervisor:
  INT               stop at once
  TERM              finish running requests, then stop; a second TERM or INT stops at once
  USR1              reopen log files

Environment:
  SLUICE_LOG        level of the process log: trace, debug, info, warn or error`;
}

/** The command line, the same for `sluice` and for every program that calls `Server.fromArgs()`. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { nearest } from '../../shared/config/problem.ts';
import { verbs, type Verb } from '../control/verbs.ts';
import { StartupError } from '../startup-error.ts';

export interface Options {
  readonly conf: string | undefined;
  /** Only check, start nothing. */
  readonly test: boolean;
  /** Into the background; the configuration may say so too. */
  readonly daemon: boolean;
  /** Wait for a predecessor's sockets instead of opening them. */
  readonly upgrade: boolean;
  readonly threads: number | undefined;
}

export interface VerbOptions {
  readonly verb: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly conf: string | undefined;
  readonly control: string | undefined;
  readonly json: boolean;
}

export type Invocation =
  | { readonly kind: 'run'; readonly options: Options }
  /** Ask a supervisor that runs. */
  | ({ readonly kind: 'ask' } & VerbOptions)
  /** Print the text and exit with 0. */
  | { readonly kind: 'print'; readonly text: string };

/**
 * @param args what follows the program's name
 * @param program how the user called it, for the help text
 * @throws {StartupError} an option or a verb is unknown, incomplete, or not available
 */
export function readArgs(args: readonly string[], program: string, version: string): Invocation {
  const first = firstPositional(args);
  const verb = first && verbs.get(first.value);
  if (verb === undefined) return readRun(args, program, version);
  return readVerb(args.toSpliced(first!.index, 1), first!.value, verb, program);
}

/** Of all options, so that their values are not taken for verbs. */
function firstPositional(args: readonly string[]) {
  const { tokens } = parseArgs({
    tokens: true,
    args: [...args],
    strict: false,
    allowPositionals: true,
    options: { ...runOptions, ...verbOptions },
  });
  return tokens.find(({ kind }) => kind === 'positional') as
    | { readonly value: string; readonly index: number }
    | undefined;
}

const runOptions = {
  conf: { type: 'string', short: 'c' },
  test: { type: 'boolean', short: 't' },
  daemon: { type: 'boolean', short: 'd' },
  upgrade: { type: 'boolean', short: 'u' },
  threads: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig;

const verbOptions = {
  conf: { type: 'string', short: 'c' },
  control: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsOptionsConfig;

function readRun(args: readonly string[], program: string, version: string): Invocation {
  const { values, positionals } = parse(args, runOptions, program);
  if (values.help === true) return { kind: 'print', text: help(program) };
  if (values.version === true) return { kind: 'print', text: version };
  const [stray] = positionals;
  if (stray !== undefined)
    throw wrong(`unexpected argument "${stray}"; ${verbHint(stray)}`, program);
  if (values.conf === '') throw wrong('--conf: expected a file, got ""', program);
  return {
    kind: 'run',
    options: {
      conf: values.conf,
      test: values.test === true,
      daemon: values.daemon === true,
      upgrade: values.upgrade === true,
      threads: threadsFrom(values.threads, program),
    },
  };
}

function readVerb(args: readonly string[], name: string, verb: Verb, program: string): Invocation {
  const own = Object.fromEntries(
    Object.entries(verb.options ?? {}).map(([option, { type }]) => [option, { type }]),
  );
  const { values, positionals } = parse(args, { ...own, ...verbOptions }, program);
  const { conf, control, json, help: helped, ...options } = values;
  if (helped === true) return { kind: 'print', text: verbHelp(name, verb, program) };
  if (positionals.length > 0) throw wrong(`unexpected argument "${positionals[0]}"`, program);
  if (conf === '') throw wrong('--conf: expected a file, got ""', program);
  if (control === '') throw wrong('--control: expected the path of a socket, got ""', program);
  return { kind: 'ask', verb: name, options, conf, control, json: json === true };
}

function parse<Config extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: Config,
  program: string,
) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (thrown) {
    throw wrong((thrown as Error).message, program);
  }
}

function verbHint(given: string): string {
  const known = [...verbs.keys()];
  const meant = nearest(given, known);
  return meant === undefined ? `verbs are ${known.join(', ')}` : `did you mean "${meant}"?`;
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
  const list = [...verbs].map(([name, { means }]) => `  ${name.padEnd(17)} ${means}`).join('\n');
  return `Usage: ${program} [options]
       ${program} VERB [-c FILE | --control PATH] [--json]

  -c, --conf FILE   configuration file (YAML)
  -t, --test        check the configuration, say what is wrong with it, start nothing
  -d, --daemon      run in the background; returns when it serves, with 1 if it cannot
  -u, --upgrade     wait for the running process to hand over (QUIT), at upgrade_sock
      --threads N   worker processes; the default is one per core
  -h, --help        this text
      --version     the version

Verbs, for one that runs (${program} VERB --help tells their options):
${list}

The sluice command only (sluice prove-upgrade --help tells its options):
  prove-upgrade     upgrade, reload and kill a copy under traffic, and count what is lost

Signals to the supervisor:
  INT               stop at once
  TERM              finish running requests, then stop; a second TERM or INT stops at once
  HUP               read the configuration again, as "${program} reload"
  QUIT              hand over to the process that was started with -u, and end
  USR1              reopen log files

Exit codes of verbs:
  0                 done
  1                 it refused; nothing has changed
  2                 nobody was asked: it does not run, or the command line is wrong

Environment:
  SLUICE_LOG        level of the process log: trace, debug, info, warn or error`;
}

function verbHelp(name: string, { means, options = {} }: Verb, program: string): string {
  const own = Object.entries(options)
    .map(([option, each]) => `\n      --${option.padEnd(12)} ${each.means}`)
    .join('');
  return `Usage: ${program} ${name} [-c FILE | --control PATH] [--json]

${name}: ${means}
${own}
  -c, --conf FILE    configuration of the one that runs; tells where its control socket is
      --control PATH its control socket, if it is not where the configuration says
      --json         the answer for programs`;
}

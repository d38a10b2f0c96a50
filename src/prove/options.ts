/** The command line of `sluice prove-upgrade`. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { ProveFailure } from './failure.ts';

export interface Options {
  readonly conf: string | undefined;
  readonly threads: number | undefined;
  /** Prove the server that runs from `conf`; the origin listens there, as its configuration expects. */
  readonly running: { readonly host: string; readonly port: number } | undefined;
  readonly upgrades: number;
  readonly reloads: number;
  readonly kills: number;
  /** That keep their connections; there is one of each other kind. */
  readonly clients: number;
  /** The traffic lasts at least as long. */
  readonly seconds: number;
  /** After so long, nothing more is begun. */
  readonly atMostSeconds: number;
  readonly graceSeconds: number;
  /** Each upgrade and reload has one worker more, or one fewer. */
  readonly resize: boolean;
  readonly json: boolean;
}

export type Invocation =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'print'; readonly text: string };

/** @throws {ProveFailure} an option is unknown, or makes no sense */
export function readOptions(args: readonly string[]): Invocation {
  const values = parse(args);
  if (values.help === true) return { kind: 'print', text: HELP };
  if (values.conf === '') throw wrong('--conf: expected a file, got ""');
  const options: Options = {
    conf: values.conf,
    threads: values.threads === undefined ? undefined : number('threads', values.threads, 1, 1024),
    running: values.running === undefined ? undefined : address(values.running),
    upgrades: number('upgrades', values.upgrades, 0, 100_000),
    reloads: number('reloads', values.reloads, 0, 100_000),
    kills: number('kills', values.kills, 0, 100_000),
    clients: number('clients', values.clients, 1, 500),
    seconds: number('seconds', values.seconds, 0, 604_800),
    atMostSeconds: number('at-most', values['at-most'], 1, 604_800),
    graceSeconds: number('grace', values.grace ?? '2', 1, 300),
    resize: values.resize === true,
    json: values.json === true,
  };
  if (options.running !== undefined) {
    if (options.conf === undefined) throw wrong('--running: name the file it runs from (-c FILE)');
    for (const option of ['threads', 'grace', 'resize'] as const) {
      if (values[option] !== undefined)
        throw wrong(`--${option}: is for copies; what runs has its own`);
    }
  }
  const { upgrades, reloads, kills, seconds } = options;
  if (upgrades + reloads + kills + seconds === 0)
    throw wrong('there is nothing to do: no upgrades, no reloads, no kills, and no seconds');
  return { kind: 'run', options };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        conf: { type: 'string', short: 'c' },
        threads: { type: 'string' },
        upgrades: { type: 'string', default: '10' },
        reloads: { type: 'string', default: '10' },
        kills: { type: 'string', default: '10' },
        clients: { type: 'string', default: '8' },
        seconds: { type: 'string', default: '0' },
        'at-most': { type: 'string', default: '604800' },
        grace: { type: 'string' },
        running: { type: 'string' },
        resize: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (thrown) {
    throw wrong((thrown as Error).message);
  }
}

function number(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw wrong(`--${option}: expected a whole number from ${min} to ${max}, got "${text}"`);
}

function address(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(?:\[?([0-9a-fA-F:.]+)\]?):(\d{1,5})$/.exec(text) ?? [];
  if (isIP(host) !== 0 && Number(port) >= 1 && Number(port) <= 65_535)
    return { host, port: Number(port) };
  throw wrong(`--running: expected an address such as "127.0.0.1:6190", got "${text}"`);
}

function wrong(what: string): ProveFailure {
  return new ProveFailure(`${what}\nTry: sluice prove-upgrade --help`);
}

const HELP = `Usage: sluice prove-upgrade [options]

Starts a copy of a configuration on spare ports, with an origin of its own, and
upgrades, reloads and kills it under traffic whose clients never try again.
Prints what was lost; the exit code is 0 if that is nothing.

  -c, --conf FILE    the configuration to copy; default: a plain gateway
      --threads N    workers of the copy; default: as in the file
      --upgrades N   hand-offs to a new process (10)
      --reloads N    new generations of workers (10)
      --kills N      workers ended with SIGKILL (10)
      --clients N    clients that keep their connections (8)
      --seconds N    go on for at least so long (0)
      --at-most N    begin nothing more after so many seconds (a week)
      --grace N      grace period of the copy, in seconds (2)
      --resize       one worker more, then one fewer, with each upgrade and reload
      --running HOST:PORT
                     no copy: prove the server that runs from FILE. Its first route
                     must lead /sluice-prove/* to this address, where the proof listens
      --json         the result as JSON
  -h, --help         this text`;

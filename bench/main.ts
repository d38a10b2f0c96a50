/**
 * Runs one of the benchmarks that have a name.
 *
 *     npm run bench                               lists them
 *     npm run bench -- http1 --repetitions 10     runs one
 */
import * as http1 from './load/http1.ts';
import * as limits from './load/limits.ts';
import * as upgrade from './load/upgrade.ts';
import { BenchFailure } from './support/failure.ts';

interface Benchmark {
  readonly question: string;
  /** Its options with their defaults. */
  readonly usage: string;
  /** @returns exit code */
  run(args: readonly string[], signal: AbortSignal): Promise<number>;
}

const benchmarks: Readonly<Record<string, Benchmark>> = {
  http1: {
    question:
      'What does Sluice cost over HTTP/1.1, next to nginx, HAProxy and the proxies of Node.js?',
    ...http1,
  },
  limits: {
    question: 'What does a rate limit cost, and does it admit exactly what it says?',
    ...limits,
  },
  upgrade: {
    question: 'Is anything lost when Sluice is upgraded, reloaded, or when a worker dies?',
    ...upgrade,
  },
};

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help') {
    process.stdout.write(list());
    return 0;
  }
  const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
  if (benchmark === undefined) throw new BenchFailure(`there is no "${name}".\n${list()}`);
  if (args.includes('--help')) {
    process.stdout.write(entry([name, benchmark]));
    return 0;
  }
  return benchmark.run(args, interruption());
}

function list(): string {
  const entries = Object.entries(benchmarks).map(entry).join('\n');
  return `npm run bench -- NAME [options]\n\n${entries}\nLoad on the running demo: npm run load\n`;
}

function entry([name, { question, usage }]: readonly [string, Benchmark]): string {
  return `  ${name}\n    ${question}\n    ${usage}\n`;
}

/** Aborted by Ctrl-C, so that a benchmark ends what it started before this process ends. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new BenchFailure('interrupted')));
  }
  return controller.signal;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  if (!(thrown instanceof BenchFailure)) throw thrown;
  process.stderr.write(`bench: ${thrown.message}\n`);
  process.exitCode = 1;
}

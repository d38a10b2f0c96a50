/**
 * What does Sluice cost over HTTP/1.1, next to nginx, HAProxy and the proxies
 * of Node.js?
 *
 * Baseline: nginx, doing the same work (keep-alive on both sides, forwarding
 * headers, an access log). Read the ratio of CPU per request to nginx: it is
 * what a core's worth of traffic is bought with. The load and the origin share a
 * core, so requests per second say as much about them. Needs 2 idle cores.
 * Ratios closer than the spreads are no difference.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchFailure } from '../support/failure.ts';
import { machineLine } from '../support/machine.ts';
import { asUsageFailure, wholeNumber } from '../support/options.ts';
import { coresOfOthers, readUsage } from '../support/others.ts';
import { folderFor } from '../support/peers/server.ts';
import { requireCores, requireProgram } from '../support/pin.ts';
import { canRun, type Work } from './http1/work.ts';
import { works } from './http1/works.ts';

const PEERS = ['sluice', 'nginx', 'haproxy', 'http-proxy', 'fastify'];
const WORKS = works.map(({ name }) => name);

export const usage = [
  '--seconds 3 --repetitions 5   length of a run; runs per server after one to warm up',
  `--work ${WORKS.join(',')}   default: all of them, which takes minutes`,
  `--peers ${PEERS.join(',')}   default: all of them`,
].join('\n    ');

interface Options {
  readonly seconds: number;
  readonly repetitions: number;
  readonly works: readonly Work[];
  readonly peers: ReadonlySet<string>;
}

/** @returns exit code: 1 if any request failed */
export async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { seconds, repetitions, works, peers } = optionsFrom(args);
  requireCores(2);
  requireProgram('wrk', 'wrk');
  using started = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  started.defer(() => rmSync(folder, { recursive: true, force: true }));

  process.stdout.write(`${machineLine()}\nmedians of ${repetitions} runs of ${seconds} s\n`);
  let hadErrors = false;
  for (const work of works) {
    const contenders = work.contenders.filter(({ kind }) => peers.has(kind.name));
    process.stdout.write(`\n${work.name}: ${work.title}\n`);
    if (!contenders.some(canRun)) {
      process.stdout.write('not measured: no server that was asked for can take part\n');
      continue;
    }
    const before = readUsage();
    const outcome = await work.run({
      contenders,
      seconds,
      repetitions,
      folder: folderFor(folder, work.name),
      signal,
      progress,
    });
    progress('');
    process.stdout.write(outcome.text + disturbance(coresOfOthers(before, readUsage())));
    hadErrors ||= outcome.hadErrors;
  }
  return hadErrors ? 1 : 0;
}

/** Of a core. What an idle machine does on its own is below it. */
const UNDISTURBED = 0.05;

function disturbance(cores: number): string {
  if (cores < UNDISTURBED) return '';
  return `Disturbed: other processes used ${cores.toFixed(2)} cores meanwhile.\n`;
}

function optionsFrom(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '3' },
        repetitions: { type: 'string', default: '5' },
        work: { type: 'string', default: WORKS.join(',') },
        peers: { type: 'string', default: PEERS.join(',') },
      },
    });
    const names = someOf('work', values.work, WORKS);
    return {
      seconds: wholeNumber('seconds', values.seconds, 1, 60),
      repetitions: wholeNumber('repetitions', values.repetitions, 1, 50),
      works: works.filter(({ name }) => names.has(name)),
      peers: someOf('peers', values.peers, PEERS),
    };
  } catch (thrown) {
    throw asUsageFailure(thrown);
  }
}

function someOf(option: string, list: string, known: readonly string[]): ReadonlySet<string> {
  const names = list.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return new Set(names);
  throw new BenchFailure(`--${option}: expected some of ${known.join(', ')}, got "${unknown}"`);
}

/** One line that is written over; nothing where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

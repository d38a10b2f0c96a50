/**
 * What does Sluice cost per request over HTTP/1.1, next to nginx and HAProxy?
 *
 * Baseline: nginx with one worker, doing the same work (keep-alive on both
 * sides, forwarding headers, an access log). Read CPU per request and its ratio
 * to nginx: it is what a core's worth of traffic is bought with. The load and
 * the origin share core 1, so requests per second say as much about them.
 * Needs 2 idle cores. Ratios closer than the spreads are no difference.
 */
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { roundRobin, summarize, type Sample, type Summary } from '../support/compare.ts';
import { cpuBetween, readCpu } from '../support/cpu.ts';
import { load } from '../support/load.ts';
import { machineLine } from '../support/machine.ts';
import { asUsageFailure, wholeNumber } from '../support/options.ts';
import { haproxy } from '../support/peers/haproxy.ts';
import { nginx } from '../support/peers/nginx.ts';
import { startOrigin } from '../support/peers/origin.ts';
import { folderFor, type RunningServer, type ServerKind } from '../support/peers/server.ts';
import { sluice } from '../support/peers/sluice.ts';
import { requireCores, requireProgram } from '../support/pin.ts';
import { table } from '../support/table.ts';

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const CONNECTIONS = 64;
const BODY = 'x'.repeat(100);
const KINDS: readonly ServerKind[] = [sluice, nginx, haproxy];
const BASELINE = nginx.name;

interface Options {
  readonly seconds: number;
  readonly repetitions: number;
}

export const usage =
  '--seconds 3 --repetitions 5   length of a run; runs per server after one to warm up';

/** @returns exit code: 1 if any request failed */
export async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const options = optionsFrom(args);
  requireCores(2);
  requireProgram('wrk', 'wrk');
  await using started = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  started.defer(() => rmSync(folder, { recursive: true, force: true }));

  const origin = started.use(await startOrigin(BODY, LOAD_CORE, folderFor(folder, 'origin')));
  const servers: RunningServer[] = [];
  for (const kind of KINDS.filter((kind) => kind.missing() === undefined)) {
    const place = { core: SERVER_CORE, folder: folderFor(folder, kind.name) };
    const server = await kind.start({ origin: `127.0.0.1:${origin.port}`, ...place });
    servers.push(started.use(server));
  }

  const samples = await roundRobin(servers, options.repetitions, (server, round) => {
    progress(
      `${server.name}, ${round === 0 ? 'warming up' : `run ${round} of ${options.repetitions}`}`,
    );
    return measure(server, options.seconds, folder, signal);
  });
  progress('');
  process.stdout.write(report(samples, options, origin.description));
  return [...samples.values()].flat().some(({ errors }) => errors > 0) ? 1 : 0;
}

function optionsFrom(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '3' },
        repetitions: { type: 'string', default: '5' },
      },
    });
    return {
      seconds: wholeNumber('seconds', values.seconds, 1, 60),
      repetitions: wholeNumber('repetitions', values.repetitions, 1, 50),
    };
  } catch (thrown) {
    throw asUsageFailure(thrown);
  }
}

async function measure(
  { name, pid, port, accessLog }: RunningServer,
  seconds: number,
  folder: string,
  signal: AbortSignal,
): Promise<Sample> {
  const url = `http://127.0.0.1:${port}/`;
  const before = readCpu(name, pid);
  const result = await load({
    url,
    connections: CONNECTIONS,
    seconds,
    core: LOAD_CORE,
    folder,
    signal,
  });
  const cpuNs = cpuBetween(before, readCpu(name, pid));
  // Appended to by its owner, who notices nothing: a run of minutes would else fill the disk.
  if (accessLog !== undefined) truncateSync(accessLog);
  return { ...result, cpuNs, errors: result.socketErrors + result.badStatus };
}

function report(
  samples: ReadonlyMap<string, readonly Sample[]>,
  { seconds, repetitions }: Options,
  origin: string,
): string {
  const rows = KINDS.map((kind) => {
    const own = samples.get(kind.name);
    if (own === undefined) return [kind.name, kind.missing() ?? 'not measured'];
    return [`${kind.name} ${kind.version()}`, ...cells(summarize(own, samples.get(BASELINE)))];
  });
  const heading = [
    '',
    'CPU us/req',
    'spread',
    `x ${BASELINE}`,
    'req/s',
    'core',
    'p50 ms',
    'p99 ms',
    'errors',
  ];
  return [
    `http1: small GET (${BODY.length} B answer), ${CONNECTIONS} keep-alive connections; `,
    `medians of ${repetitions} runs of ${seconds} s\n`,
    `${machineLine()}\n\n`,
    table([heading, ...rows]),
    `\nServers on core ${SERVER_CORE}, one worker each; wrk and the origin (${origin}) on core ${LOAD_CORE}.\n`,
    'CPU is that of all processes of a server; "core" is how much of its core it used.\n',
    ...(samples.has(haproxy.name) ? ['HAProxy writes no access log here; the others do.\n'] : []),
  ].join('');
}

function cells(summary: Summary): string[] {
  return [
    summary.cpuUsPerRequest.toFixed(1),
    `${(summary.spread * 100).toFixed(0)} %`,
    summary.ratio?.toFixed(2) ?? '-',
    summary.requestsPerSecond.toFixed(0),
    `${(summary.busy * 100).toFixed(0)} %`,
    summary.p50Ms.toFixed(2),
    summary.p99Ms.toFixed(2),
    String(summary.errors),
  ];
}

/** One line that is written over; nothing where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

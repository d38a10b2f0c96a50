/**
 * A work whose price is CPU time per request: all servers are up at once and
 * loaded in turn by wrk, and the kernel says what each of them used.
 */
import { askOnce } from '../../support/ask-once.ts';
import { roundRobin, summarize, type Sample, type Summary } from '../../support/compare.ts';
import { cpuBetween, readCpu } from '../../support/cpu.ts';
import { BenchFailure } from '../../support/failure.ts';
import { load, type Request } from '../../support/load.ts';
import type { Origin } from '../../support/peers/origin.ts';
import { cutAccessLog } from '../../support/peers/server.ts';
import { table } from '../../support/table.ts';
import { goalLine, type Goal } from './goal.ts';
import {
  absentRow,
  labelOf,
  startAll,
  startOriginFor,
  USUAL_CORES,
  type Contender,
  type Cores,
  type Outcome,
  type Run,
  type RunningContender,
  type Work,
} from './work.ts';

export const CONNECTIONS = 64;

/** The first run, which does not count, is no shorter: until then V8 is still compiling. */
const WARMING_SECONDS = 3;

export interface CpuWork {
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly Contender[];
  /** Contender that the others are shown as a multiple of. */
  readonly baseline: string;
  readonly goals: readonly Goal[];
  readonly request: Request;
  /** Body of the answer, to be sure that it is the one. */
  readonly answerBytes: number;
  readonly cores?: Cores;
  readonly notes?: readonly string[];
}

export function cpuPerRequest(work: CpuWork): Work {
  const { name, title, contenders } = work;
  return { name, title, contenders, run: (run) => measureAll(work, run) };
}

async function measureAll(work: CpuWork, run: Run): Promise<Outcome> {
  const cores = work.cores ?? USUAL_CORES;
  await using started = new AsyncDisposableStack();
  const origin = started.use(await startOriginFor(run, cores));
  const running = await startAll({ origin, cores, run }, started);
  for (const each of running) await checkAnswer(each, work, run);

  const samples = await roundRobin(running, run.repetitions, (each, round) => {
    const what = round === 0 ? 'warming up' : `run ${round} of ${run.repetitions}`;
    run.progress(`${work.name}: ${each.name}, ${what}`);
    const seconds = round === 0 ? Math.max(run.seconds, WARMING_SECONDS) : run.seconds;
    return measure(each, work, cores, { ...run, seconds });
  });
  return {
    text: report({ work, run, cores, origin, samples }),
    hadErrors: [...samples.values()].flat().some(({ errors }) => errors > 0),
  };
}

async function measure(
  { name, server }: RunningContender,
  { request }: CpuWork,
  cores: Cores,
  { seconds, folder, signal }: Run,
): Promise<Sample> {
  const { pid, port } = server;
  const before = readCpu(name, pid);
  const result = await load({
    port,
    request,
    connections: CONNECTIONS,
    seconds,
    core: cores.load,
    folder,
    signal,
  });
  const cpuNs = cpuBetween(before, readCpu(name, pid));
  cutAccessLog(server);
  return { ...result, cpuNs, errors: result.socketErrors + result.badStatus };
}

/**
 * wrk believes every answer. So each server shows once that it does the work:
 * the answer has all its bytes, and the origin got all of an upload.
 *
 * @throws {BenchFailure} it does something else
 */
async function checkAnswer(
  { name, server }: RunningContender,
  { request, answerBytes }: CpuWork,
  { signal }: Run,
): Promise<void> {
  const { bodyBytes = 0 } = request;
  const { status, bytes, received } = await askOnce(server.port, request, signal);
  if (status === 200 && bytes === answerBytes && received >= bodyBytes) return;
  throw new BenchFailure(
    `${name}: expected a 200 with ${answerBytes} bytes, and ${bodyBytes} bytes of body to reach the origin; ` +
      `got ${status} with ${bytes}, and ${received} reached the origin`,
  );
}

interface Results {
  readonly work: CpuWork;
  readonly run: Run;
  readonly cores: Cores;
  readonly origin: Origin;
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

function report({ work, run, cores, origin, samples }: Results): string {
  const baseline = samples.get(work.baseline);
  const rows = run.contenders.map((each) => {
    const own = samples.get(each.name);
    return own === undefined
      ? absentRow(each)
      : [labelOf(each), ...cells(summarize(own, baseline))];
  });
  const heading = [
    '',
    'CPU us/req',
    'spread',
    `x ${work.baseline}`,
    'req/s',
    'cores',
    'p50 ms',
    'p99 ms',
    'errors',
  ];
  return [
    table([heading, ...rows]),
    ...work.goals.map((goal) => goalLine(goal, samples)),
    `${placing(cores)} Origin: ${origin.description}.\n`,
    ...(work.notes ?? []).map((note) => `${note}\n`),
  ].join('');
}

function placing({ servers, load, origin }: Cores): string {
  const where = servers.length === 1 ? `core ${servers[0]}` : `cores ${servers.join(' and ')}`;
  return `Servers on ${where}, wrk on core ${load}, the origin on core ${origin}.`;
}

function cells(summary: Summary): string[] {
  return [
    summary.cpuUsPerRequest.toFixed(1),
    `${(summary.spread * 100).toFixed(0)} %`,
    summary.ratio?.toFixed(2) ?? '-',
    summary.requestsPerSecond.toFixed(0),
    summary.busy.toFixed(2),
    summary.p50Ms.toFixed(2),
    summary.p99Ms.toFixed(2),
    String(summary.errors),
  ];
}

/**
 * How long do answers take when a server is half busy?
 *
 * The rate is the same for all: half of what the slowest of them reached just
 * before, as fast as it could. Latencies include those of the origin and of the
 * load, on their common core: read the difference between servers.
 */
import { median, roundRobin } from '../../support/compare.ts';
import { load } from '../../support/load.ts';
import { openLoop, type OpenLoopResult } from '../../support/open-loop.ts';
import { cutAccessLog } from '../../support/peers/server.ts';
import { table } from '../../support/table.ts';
import { CONNECTIONS } from './cpu-per-request.ts';
import {
  absentRow,
  labelOf,
  startAll,
  startOriginFor,
  USUAL_CORES,
  type Contender,
  type Outcome,
  type Run,
  type RunningContender,
  type Work,
} from './work.ts';

export function latency(contenders: readonly Contender[]): Work {
  return {
    name: 'latency',
    title: `latency of a small GET at half load, ${CONNECTIONS} keep-alive connections`,
    contenders,
    run: measureAll,
  };
}

async function measureAll(run: Run): Promise<Outcome> {
  const { repetitions, seconds, signal } = run;
  await using started = new AsyncDisposableStack();
  const origin = started.use(await startOriginFor(run, USUAL_CORES));
  const running = await startAll({ origin, cores: USUAL_CORES, run }, started);

  const rate = Math.round((await slowestRate(running, run)) / 2);
  const samples = await roundRobin(running, repetitions, async ({ name, server }, round) => {
    run.progress(`latency: ${name}, run ${round} of ${repetitions}`);
    const options = { port: server.port, connections: CONNECTIONS, rate, seconds };
    const result = await openLoop(options, USUAL_CORES.load, signal);
    cutAccessLog(server);
    return result;
  });
  return {
    text: report(run.contenders, samples, rate),
    hadErrors: [...samples.values()].flat().some(({ unanswered }) => unanswered > 0),
  };
}

/** Requests per second of the slowest, after a round to warm up. */
async function slowestRate(running: readonly RunningContender[], run: Run): Promise<number> {
  const samples = await roundRobin(running, 1, ({ name, server }) => {
    run.progress(`latency: how fast is ${name}`);
    return load({
      port: server.port,
      request: { path: '/' },
      connections: CONNECTIONS,
      seconds: run.seconds,
      core: USUAL_CORES.load,
      folder: run.folder,
      signal: run.signal,
    });
  });
  return Math.min(
    ...[...samples.values()].flat().map(({ requests, seconds }) => requests / seconds),
  );
}

function report(
  contenders: readonly Contender[],
  samples: ReadonlyMap<string, readonly OpenLoopResult[]>,
  rate: number,
): string {
  const heading = ['', 'p50 ms', 'p99 ms', 'p99.9 ms', 'load late p99 ms', 'answers', 'unanswered'];
  const rows = contenders.map((each) => {
    const own = samples.get(each.name);
    return own === undefined ? absentRow(each) : [labelOf(each), ...cells(own)];
  });
  return [
    table([heading, ...rows]),
    `${rate} requests/s, at random times; latencies count from when a request was due.\n`,
    '"load late" is how late the load itself saw that they were due: latencies contain it.\n',
    'Servers on core 0, load and origin on core 1.\n',
  ].join('');
}

function cells(samples: readonly OpenLoopResult[]): string[] {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return [
    median(samples.map(({ p50Ms }) => p50Ms)).toFixed(2),
    median(samples.map(({ p99Ms }) => p99Ms)).toFixed(2),
    median(samples.map(({ p999Ms }) => p999Ms)).toFixed(2),
    median(samples.map(({ lateP99Ms }) => lateP99Ms)).toFixed(2),
    String(sum(samples.map(({ answered }) => answered))),
    String(sum(samples.map(({ unanswered }) => unanswered))),
  ];
}

/**
 * Memory while a long answer goes to a client that takes it slowly, from an
 * origin that would send all of it at once: what a server holds back for one
 * client must not depend on the length of the answer.
 */
import { median } from '../../support/compare.ts';
import { sluice } from '../../support/peers/sluice.ts';
import { readSlowly } from '../../support/slow-reader.ts';
import { table } from '../../support/table.ts';
import { verdictLine } from './goal.ts';
import { oneByOne, pssOf } from './one-by-one.ts';
import {
  absentRow,
  labelOf,
  type Contender,
  type Outcome,
  type Run,
  type RunningContender,
  type Work,
} from './work.ts';

/** MB above idle: a few, whatever the length of the answer. */
const GOAL = { limit: 4, of: ' MB' };

/** Enough for a first stall and some bursts, however short the other measurements are. */
const SHORTEST_MS = 3_000;

interface Sample {
  /** Bytes. */
  readonly idle: number;
  readonly above: number;
  readonly readSlowly: number;
}

export function slowReader(contenders: readonly Contender[]): Work {
  return {
    name: 'slow-reader',
    title: 'memory while 200 MiB go to one client that reads slowly',
    contenders,
    run: measureAll,
  };
}

async function measureAll(run: Run): Promise<Outcome> {
  const samples = await oneByOne('slow-reader', run, (each) => measure(each, run));
  const heading = ['', 'peak MB above idle', 'highest', 'idle MB', 'MB read slowly'];
  const rows = run.contenders.map((each) => {
    const own = samples.get(each.name);
    return own === undefined ? absentRow(each) : [labelOf(each), ...cells(own)];
  });
  const own = samples.get(sluice.name);
  const reached = own && toMB(median(own.map(({ above }) => above)));
  return {
    text: [
      table([heading, ...rows]),
      verdictLine({ ...GOAL, reached }),
      'It reads nothing, then 1 MiB now and then, and takes the rest at once. nginx keeps the answer in a file meanwhile.\n',
    ].join(''),
    hadErrors: false, // an answer that does not arrive complete ends the run
  };
}

async function measure(contender: RunningContender, { seconds, signal }: Run): Promise<Sample> {
  const idle = pssOf(contender);
  let peak = idle;
  const slow = await readSlowly(
    {
      port: contender.server.port,
      path: '/files/200m',
      slowMs: Math.max(seconds * 1_000, SHORTEST_MS),
      signal,
    },
    () => (peak = Math.max(peak, pssOf(contender))),
  );
  return { idle, above: peak - idle, readSlowly: slow };
}

function cells(samples: readonly Sample[]): string[] {
  const above = samples.map((sample) => sample.above);
  return [
    toMB(median(above)).toFixed(1),
    toMB(Math.max(...above)).toFixed(1),
    toMB(median(samples.map(({ idle }) => idle))).toFixed(1),
    toMB(median(samples.map((sample) => sample.readSlowly))).toFixed(0),
  ];
}

function toMB(bytes: number): number {
  return bytes / 1_048_576;
}

/**
 * Memory per keep-alive connection that asked once and is idle now: how much the
 * user-space memory of all processes of a server grows by many of them.
 */
import { readFileSync } from 'node:fs';
import { median, spread } from '../../support/compare.ts';
import { IdleClients } from '../../support/idle-clients.ts';
import { sluice } from '../../support/peers/sluice.ts';
import { table } from '../../support/table.ts';
import { verdictLine } from './goal.ts';
import { oneByOne, pssOf, settle } from './one-by-one.ts';
import {
  absentRow,
  labelOf,
  type Contender,
  type Outcome,
  type Run,
  type RunningContender,
  type Work,
} from './work.ts';

/** 5000, or fewer where open files are scarce: a proxy may need two for each, and keeps some back. */
export const IDLE_CONNECTIONS = Math.min(5_000, Math.floor(openFilesLimit() * 0.4));

/** KB per connection. */
const GOAL = { limit: 8, aim: 4, of: ' KB' };

interface Sample {
  /** Bytes, before the connections. */
  readonly base: number;
  readonly perConnection: number;
  /** Connections that the server closed although they should have stayed. */
  readonly closed: number;
}

export function idleMemory(contenders: readonly Contender[]): Work {
  return {
    name: 'memory',
    title: `memory per idle keep-alive connection, ${IDLE_CONNECTIONS} of them after one request each`,
    contenders,
    run: measureAll,
  };
}

async function measureAll(run: Run): Promise<Outcome> {
  const samples = await oneByOne('memory', run, (each) => measure(each, run));
  const heading = ['', 'KB/conn', 'spread', 'base MB', 'closed'];
  const rows = run.contenders.map((each) => {
    const own = samples.get(each.name);
    return own === undefined ? absentRow(each) : [labelOf(each), ...cells(own)];
  });
  const own = samples.get(sluice.name);
  const reached = own && median(own.map(({ perConnection }) => perConnection)) / 1_024;
  return {
    text: [
      table([heading, ...rows]),
      verdictLine({ ...GOAL, reached }),
      'Memory is the proportional set size of all processes of a server; what the kernel keeps is not in it.\n',
    ].join(''),
    hadErrors: [...samples.values()].flat().some(({ closed }) => closed > 0),
  };
}

async function measure(contender: RunningContender, { signal }: Run): Promise<Sample> {
  const base = pssOf(contender);
  using clients = await IdleClients.open(contender.server.port, IDLE_CONNECTIONS, signal);
  await settle(signal);
  const perConnection = (pssOf(contender) - base) / IDLE_CONNECTIONS;
  return { base, perConnection, closed: clients.closed };
}

function cells(samples: readonly Sample[]): string[] {
  const perConnection = samples.map((sample) => sample.perConnection);
  return [
    (median(perConnection) / 1_024).toFixed(2),
    `${(spread(perConnection) * 100).toFixed(0)} %`,
    (median(samples.map(({ base }) => base)) / 1_048_576).toFixed(1),
    String(samples.reduce((sum, { closed }) => sum + closed, 0)),
  ];
}

/** Of this process, and so of the servers that it starts. */
function openFilesLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const soft = /^Max open files +(\S+)/m.exec(limits)?.[1];
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

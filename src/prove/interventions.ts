/** What is done to Sluice while it serves: one thing after the other, the kinds taking turns. */
import { setTimeout as wait } from 'node:timers/promises';
import { acceptedBy, isStopped } from './kernel.ts';
import { ProveFailure } from './failure.ts';
import type { Retirements } from './retirements.ts';
import type { Subject } from './subject.ts';
import type { Connections } from './wire/connections.ts';

export type Intervention = 'upgrade' | 'reload' | 'kill';

/**
 * In turns, until each has had as many as it wants. Each round begins with another
 * one, so that each comes after each of the others.
 */
export function* inTurns(counts: Readonly<Record<Intervention, number>>): Generator<Intervention> {
  const left = { ...counts };
  const kinds = Object.keys(left) as Intervention[];
  while (kinds.some((kind) => left[kind] > 0)) {
    for (const kind of kinds) {
      if (left[kind] === 0) continue;
      left[kind] -= 1;
      yield kind;
    }
    kinds.push(kinds.shift()!);
  }
}

/** What an intervention acts on, and who must know of it. */
export interface Stage {
  readonly subject: Subject;
  readonly connections: Connections;
  readonly retirements: Retirements;
}

export async function intervene(kind: Intervention, stage: Stage): Promise<void> {
  switch (kind) {
    case 'upgrade':
      return retire(stage, () => stage.subject.upgrade());
    case 'reload':
      return retire(stage, () => stage.subject.reload());
    case 'kill':
      return killWorker(stage);
  }
}

/** Generations that may drain at a time: with one more, Sluice may cut the oldest. */
const MAX_DRAINING = 3;

/** From the end of the grace period to the end of the last worker. */
const LEAVE_MS = 500;

async function retire({ retirements }: Stage, replace: () => Promise<void>): Promise<void> {
  const oldest = retirements.last(MAX_DRAINING);
  if (oldest !== undefined) {
    const goneAt = oldest.endedAt + retirements.graceMs + LEAVE_MS;
    await wait(Math.max(0, goneAt - performance.now()));
  }
  const retirement = retirements.begin(performance.now());
  await replace();
  retirement.endedAt = performance.now();
}

/**
 * Kills a worker, with the certainty of which connections it had: stopped first,
 * it can take no more, and everything it has is in the kernel's books.
 */
async function killWorker({ subject, connections }: Stage): Promise<void> {
  const workers = await subject.workers();
  const victim = workers[Math.floor(Math.random() * workers.length)];
  if (victim === undefined) throw new ProveFailure('there is no worker to kill: none is ready');
  process.kill(victim, 'SIGSTOP');
  while (!isStopped(victim)) await new Promise((resolve) => setImmediate(resolve));
  const ports = new Set(subject.endpoints.map(({ port }) => port));
  connections.doom(await acceptedBy(victim, ports));
  process.kill(victim, 'SIGKILL');
  await subject.replaced(victim, workers.length);
  connections.forgetAnnounced();
}

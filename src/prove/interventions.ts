/** What is done to Sluice while it serves: one thing after the other, the kinds taking turns. */
import { acceptedBy, isStopped } from './kernel.ts';
import { ProveFailure } from './failure.ts';
import type { Ledger } from './ledger.ts';
import type { Subject } from './subject.ts';
import type { Connections } from './wire/connections.ts';

export type Intervention = 'kill';

/** In turns, until each has had as many as it wants. */
export function* inTurns(counts: Readonly<Record<Intervention, number>>): Generator<Intervention> {
  const left = { ...counts };
  const kinds = Object.keys(left) as Intervention[];
  while (kinds.some((kind) => left[kind] > 0)) {
    for (const kind of kinds) {
      if (left[kind] === 0) continue;
      left[kind] -= 1;
      yield kind;
    }
  }
}

/** What an intervention acts on, and who must know of it. */
export interface Stage {
  readonly subject: Subject;
  readonly connections: Connections;
  readonly ledger: Ledger;
}

/**
 * Kills a worker, with the certainty of which connections it had: stopped first,
 * it can take no more, and everything it has is in the kernel's books.
 */
export async function killWorker({ subject, connections }: Stage): Promise<void> {
  const workers = await subject.workers();
  const victim = workers[Math.floor(Math.random() * workers.length)];
  if (victim === undefined) throw new ProveFailure('there is no worker to kill: none is ready');
  process.kill(victim, 'SIGSTOP');
  while (!isStopped(victim)) await new Promise((resolve) => setImmediate(resolve));
  const ports = new Set(subject.endpoints.map(({ port }) => port));
  connections.doom(acceptedBy(victim, ports));
  process.kill(victim, 'SIGKILL');
  await subject.replaced(victim);
  connections.forgetAnnounced();
}

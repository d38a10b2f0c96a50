/** The two ways in which a running supervisor hands over: to a successor that waits, or one that it starts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../../shared/config/settings.ts';
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { Inheritance } from '../inheritance.ts';
import { refused, type Outcome } from '../operations.ts';
import { asFailure, HandoffFailure } from './failure.ts';
import { handOver, REPLY_MS, type PredecessorParts } from './predecessor.ts';
import { spawnSuccessor, type Command, type Spawned } from './spawn.ts';
import { ownUnit } from './unit.ts';
import { connectToSuccessor } from './upgrade-socket.ts';

export interface GiverParts {
  readonly libc: Libc | undefined;
  readonly settings: Pick<Settings, 'upgrade_sock' | 'upgrade'>;
  /** Of Sluice. */
  readonly release: string;
  readonly conf: string | undefined;
  readonly command: Command;
  /** The descriptors stay ours. */
  readonly estate: () => Inheritance;
  readonly onOwner: PredecessorParts['onOwner'];
  readonly onKept: PredecessorParts['onKept'];
  readonly log: Log;
}

const NO_LIBC = 'handing over needs Linux on x64 or arm64, and the binary of koffi';

/** SIGQUIT. */
export async function handOffTo(parts: GiverParts, abort: AbortSignal): Promise<Outcome> {
  const { libc, settings, log } = parts;
  const { upgrade_sock: path, upgrade } = settings;
  if (libc === undefined) return refused(NO_LIBC);
  if (path === undefined) {
    return refused(
      'there is no upgrade_sock in the configuration, so there is no place to meet a successor; set one, or upgrade with: sluice upgrade',
    );
  }
  log.info({ path }, 'looking for the successor');
  return handOver({
    ...common(parts, abort),
    connect: () => connectToSuccessor(libc, path, { withinMs: upgrade.connect, abort }),
    // It waits for nothing else.
    acceptMs: REPLY_MS,
  });
}

/** `sluice upgrade`. */
export async function upgradeBySpawning(parts: GiverParts, abort: AbortSignal): Promise<Outcome> {
  const { libc, command, settings, log } = parts;
  if (libc === undefined) return refused(NO_LIBC);
  let successor: Spawned;
  try {
    successor = await spawnSuccessor(libc, command);
  } catch (thrown) {
    const { message } = asFailure(thrown);
    log.error({ reason: message }, 'the successor did not start');
    return refused(message);
  }
  const outcome = await handOver({
    ...common(parts, abort),
    connect: async () => successor.channel,
    // It has to start first, and may be a program that takes its time.
    acceptMs: settings.upgrade.ready,
    explain: (failure) => explained(failure, successor),
  });
  if (outcome.kind === 'done') successor.release();
  else successor.abandon();
  return outcome;
}

/** It has died: the exit code is worth more than the end of the connection. */
async function explained(failure: HandoffFailure, successor: Spawned): Promise<HandoffFailure> {
  if (failure.event !== 'lost') return failure;
  // The system closes its end of the connection before it tells of the end of the process.
  for (let tries = 0; successor.end === undefined && tries < 50; tries++) await sleep(10);
  if (successor.end === undefined) return failure;
  return new HandoffFailure(
    'lost',
    `${failure.message} ${successor.end}; what it said is in the log or on standard error`,
  );
}

function common(
  { settings, release, conf, estate, onOwner, onKept, log }: GiverParts,
  abort: AbortSignal,
): Omit<PredecessorParts, 'connect' | 'acceptMs'> {
  return {
    introduction: { release, pid: process.pid, conf, unit: ownUnit() },
    estate,
    readyMs: settings.upgrade.ready,
    onOwner,
    onKept,
    abort,
    log,
  };
}

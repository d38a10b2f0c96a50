/** The two ways to become a successor: to wait at the upgrade socket (`-u`), or to be started by the predecessor. */
import type { Settings } from '../../shared/config/settings.ts';
import type { Log } from '../../shared/log/log.ts';
import { openLibc, type Libc } from '../../shared/memory/libc.ts';
import type { Inheritance } from '../inheritance.ts';
import { identityOf } from '../privileges.ts';
import { StartupError } from '../startup-error.ts';
import { Channel } from './channel.ts';
import { HandoffFailure } from './failure.ts';
import { takeInheritedSocket, wasStartedBySupervisor } from './inherited.ts';
import { circumstances, judge } from './judge.ts';
import type { KeptAddress } from './messages.ts';
import { Succession, type MeetingPoint } from './successor.ts';
import { ownUnit } from './unit.ts';
import { UpgradeSocket } from './upgrade-socket.ts';

export interface ComerParts {
  readonly settings: Pick<Settings, 'upgrade_sock' | 'upgrade' | 'user' | 'group'>;
  /** `-u` */
  readonly upgrade: boolean;
  /** Of Sluice. */
  readonly release: string;
  readonly abort: AbortSignal;
  readonly log: Log;
}

/**
 * @returns undefined if there is nobody to succeed
 * @throws {StartupError} there is no place to meet
 */
export function openSuccession(parts: ComerParts): Succession | undefined {
  const { settings, upgrade, release, abort, log } = parts;
  const started = wasStartedBySupervisor();
  if (!upgrade && !started) return undefined;
  const libc = openLibc();
  if ('unavailable' in libc) throw new StartupError(`cannot take over: ${libc.unavailable}`);
  return new Succession({
    meetingPoint: started ? inheritedConnection(libc) : upgradeSocket(libc, parts),
    close: (fd) => libc.close(fd),
    waitMs: settings.upgrade.wait,
    release,
    judge: (offer) => judge(offer, circumstances(ownUnit())),
    abort,
    log,
  });
}

/**
 * A start with what a predecessor hands over.
 *
 * @param start its second argument gives the start up
 * @throws {StartupError} the predecessor serves on, and has been told why
 */
export async function startAfter<Started>(
  succession: Succession,
  abort: AbortSignal,
  start: (inheritance: Inheritance, abort: AbortSignal) => Promise<Started>,
): Promise<Started> {
  try {
    const inheritance = await succession.receive();
    return await start(inheritance, AbortSignal.any([abort, succession.withdrawn]));
  } catch (thrown) {
    await succession.giveUp(messageOf(thrown));
    if (abort.aborted) throw abort.reason;
    throw asStartupError(thrown);
  }
}

/** What of a started supervisor a hand-off needs. */
interface Heir {
  readonly kept: readonly KeptAddress[];
  takeOver(predecessor: number): void;
  drain(reason: 'handed-off'): Promise<void>;
}

/**
 * The end of a start with what a predecessor hands over: its workers accept, and it is to be the only one.
 *
 * @param last what else must succeed before the predecessor goes
 * @throws {StartupError} the predecessor serves on, and has been told why
 */
export async function claimFrom(
  succession: Succession,
  heir: Heir,
  last: () => Promise<void>,
): Promise<void> {
  const { kept } = heir;
  const takeOver = () => heir.takeOver(succession.predecessor);
  try {
    await last();
    await succession.claim({ kept, takeOver });
  } catch (thrown) {
    await succession.giveUp(messageOf(thrown));
    // Its workers have accepted connections like those of the predecessor: they are served to their end.
    if (!succession.isStopped) await heir.drain('handed-off');
    throw asStartupError(thrown);
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function asStartupError(thrown: unknown): unknown {
  if (!(thrown instanceof HandoffFailure)) return thrown;
  const remedy =
    thrown.event === 'lost'
      ? '; start without -u: its workers serve on for a while, and an address may be taken until they have ended'
      : '';
  return new StartupError(`did not take over: ${thrown.message}${remedy}`, { cause: thrown });
}

function upgradeSocket(libc: Libc, { settings, log }: ComerParts): MeetingPoint {
  const { upgrade_sock: path, user, group, upgrade } = settings;
  if (path === undefined) {
    throw new StartupError(
      'there is no upgrade_sock in the configuration, so there is no place to wait for the running process; set one, or upgrade with: sluice upgrade',
    );
  }
  const socket = UpgradeSocket.open({ libc, path, user: identityOf(user, group).uid, log });
  log.info({ path, waitMs: upgrade.wait }, 'waiting for the running process to hand over');
  return socket;
}

function inheritedConnection(libc: Libc): MeetingPoint {
  const other = `process ${process.ppid}`;
  let channel: Channel | undefined = new Channel(libc, takeInheritedSocket(libc), other);
  return {
    async connection() {
      if (channel === undefined) throw new HandoffFailure('lost', `${other} has made no offer`);
      const only = channel;
      channel = undefined;
      return only;
    },
    close: () => channel?.close(),
  };
}

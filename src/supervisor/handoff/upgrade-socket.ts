/**
 * The Unix socket where the two supervisors meet: the successor makes it and
 * waits, the predecessor comes. Through it passes everything that is served on,
 * so both look at who the other is, and at what stands at the path.
 */
import { lchownSync, lstatSync, statSync, unlinkSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Libc } from '../../shared/memory/libc.ts';
import type { Log } from '../../shared/log/log.ts';
import { StartupError } from '../startup-error.ts';
import { Channel, type Patience } from './channel.ts';
import { HandoffFailure } from './failure.ts';

/** Effective user ids. */
export type Trusted = ReadonlySet<number>;

export interface UpgradeSocketParts {
  readonly libc: Libc;
  readonly path: string;
  /** Whom the predecessor may have become, if it is not root any more. */
  readonly user: number;
  readonly log: Log;
}

/** A few: somebody who only looks whether we are there must not keep the predecessor out. */
const BACKLOG = 16;
const PAUSE_MS = 50;

/** The successor's end. */
export class UpgradeSocket {
  readonly #parts: UpgradeSocketParts;
  readonly #fd: number;
  readonly #file: Stats;
  readonly #trusted: Trusted;
  #closed = false;

  private constructor(parts: UpgradeSocketParts, fd: number, trusted: Trusted) {
    this.#parts = parts;
    this.#fd = fd;
    this.#trusted = trusted;
    this.#file = lstatSync(parts.path);
  }

  /** @throws {StartupError} another successor waits there, or the place is not safe */
  static open(parts: UpgradeSocketParts): UpgradeSocket {
    const { libc, path, user } = parts;
    const trusted = trustedUsers(user);
    try {
      refuseOpenFolder(dirname(path));
      removeStale(libc, path, trusted);
      const fd = libc.boundUnixSocket(path, 0o600);
      libc.listen(fd, BACKLOG);
      if (process.geteuid?.() === 0) lchownSync(path, user, -1);
      return new UpgradeSocket(parts, fd, trusted);
    } catch (thrown) {
      throw new StartupError(`upgrade_sock ${path}: ${(thrown as Error).message}`, {
        cause: thrown,
      });
    }
  }

  /** @returns the next connection of a process that may hand over to us */
  async connection({ withinMs, abort }: Patience): Promise<Channel> {
    const { libc, path, log } = this.#parts;
    const giveUpAt = performance.now() + withinMs;
    for (;;) {
      if (abort.aborted) throw new HandoffFailure('stopped', 'this process is told to stop');
      const fd = libc.acceptUnix(this.#fd);
      if (fd === undefined) {
        if (performance.now() >= giveUpAt)
          throw new HandoffFailure(
            'late',
            `nobody has handed over to ${path}: signal the running process with QUIT`,
          );
        await sleep(PAUSE_MS);
        continue;
      }
      const { pid, uid } = libc.peerCredentials(fd);
      if (this.#trusted.has(uid)) return new Channel(libc, fd, `process ${pid}`);
      libc.close(fd);
      log.warn(
        { peer: pid, uid },
        'turned away from the upgrade socket: neither root nor our user',
      );
    }
  }

  /** May be called more than once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { libc, path } = this.#parts;
    try {
      const { ino, dev } = lstatSync(path);
      if (ino === this.#file.ino && dev === this.#file.dev) unlinkSync(path);
    } catch {
      // Somebody has removed it, or only root may: the next successor replaces it.
    }
    libc.close(this.#fd);
  }
}

/**
 * The predecessor's end: connects as soon as a successor waits.
 *
 * @throws {HandoffFailure} nobody does, or it is nobody whom to trust
 */
export async function connectToSuccessor(
  libc: Libc,
  path: string,
  { withinMs, abort }: Patience,
): Promise<Channel> {
  const trusted = trustedUsers();
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    if (abort.aborted) throw new HandoffFailure('stopped', 'this process is told to stop');
    const fd = tryToConnect(libc, path, trusted);
    if (fd !== undefined) return trustedChannel(libc, fd, path, trusted);
    if (performance.now() >= giveUpAt)
      throw new HandoffFailure(
        'late',
        `no successor waits at upgrade_sock ${path}: start one with -u`,
      );
    await sleep(PAUSE_MS);
  }
}

function trustedChannel(libc: Libc, fd: number, path: string, trusted: Trusted): Channel {
  const { pid, uid } = libc.peerCredentials(fd);
  if (trusted.has(uid)) return new Channel(libc, fd, `the successor (process ${pid})`);
  libc.close(fd);
  throw new HandoffFailure(
    'failed',
    `process ${pid} at upgrade_sock ${path} runs as user ${uid}, expected root or ${process.geteuid?.()}`,
  );
}

/** @returns undefined while nobody listens there */
function tryToConnect(libc: Libc, path: string, trusted: Trusted): number | undefined {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return undefined;
  const objection = objectionTo(there, trusted);
  if (objection !== undefined)
    throw new HandoffFailure('failed', `upgrade_sock ${path}: ${objection}`);
  try {
    return libc.connectUnix(path);
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    // EACCES: it was made as root and is about to get its owner.
    if (['ENOENT', 'ECONNREFUSED', 'EAGAIN', 'EACCES'].includes(code ?? '')) return undefined;
    throw new HandoffFailure('failed', `upgrade_sock ${path}: ${message}`, { cause: thrown });
  }
}

/** What a successor that is gone has left behind. */
function removeStale(libc: Libc, path: string, trusted: Trusted): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  const objection = objectionTo(there, trusted);
  if (objection !== undefined) throw new Error(objection);
  if (libc.isUnixSocketInUse(path)) throw new Error('another successor waits there already');
  unlinkSync(path);
}

function objectionTo(file: Stats, trusted: Trusted): string | undefined {
  if (file.isSymbolicLink()) return 'it is a symbolic link, expected a socket';
  if (!file.isSocket()) return 'it is not a socket';
  if (!trusted.has(file.uid)) return `it belongs to user ${file.uid}, expected root or our user`;
  return undefined;
}

/** In a folder where anybody may replace anything, anybody could take our place. */
function refuseOpenFolder(folder: string): void {
  const { mode } = statSync(folder);
  const writableByAll = (mode & 0o002) !== 0;
  const sticky = (mode & 0o1000) !== 0;
  if (writableByAll && !sticky)
    throw new Error(
      `everybody may write to the folder ${folder}; choose one of root’s or of our user’s`,
    );
}

function trustedUsers(...users: readonly number[]): Trusted {
  return new Set([0, process.geteuid?.() ?? 0, ...users]);
}

/**
 * A listening socket that the supervisor itself accepts on: the control socket,
 * the admin page. Like those of the services it can pass to a successor, with
 * what is queued in it.
 */
import { lchownSync } from 'node:fs';
import type { Server } from 'node:net';
import type { Place, TcpPlace } from '../shared/ipc/place.ts';
import type { Libc } from '../shared/memory/libc.ts';
import type { InheritedSockets } from './inheritance.ts';
import { fileAt, removeOurs, removeStale } from './listeners/bound.ts';
import type { Identity } from './privileges.ts';

export interface OwnSocket {
  /** With the port that the system chose. */
  readonly place: Place;
  readonly fd: number;
  /** @param keepFile it is a successor's now. May be called more than once. */
  close(keepFile: boolean): void;
}

export interface OwnSocketOptions {
  readonly place: Place;
  /** Whose the file of a Unix socket is. */
  readonly owner: Identity;
  /** A predecessor's; taken if it is at that place, and closed if not. */
  readonly inherited: InheritedSockets | undefined;
}

const BACKLOG = 64;

/** @throws {Error} the place cannot be listened on, or somebody else does */
export function openOwnSocket(
  libc: Libc,
  { place: wanted, owner, inherited }: OwnSocketOptions,
): OwnSocket {
  const adopted = adopt(libc, wanted, inherited);
  const { fd, place } = adopted ?? bind(libc, wanted, owner);
  const file = 'path' in place ? fileAt(place.path) : undefined;
  let closed = false;
  return {
    place,
    fd,
    close(keepFile) {
      if (closed) return;
      closed = true;
      libc.close(fd);
      if (!keepFile && 'path' in place && file !== undefined) removeOurs(place.path, file);
    },
  };
}

/** Lets a server accept on it; the server has a descriptor of its own and closes that. */
export function acceptOn(server: Server, { fd }: OwnSocket, libc: Libc): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: libc.dup(fd) }, () => {
      // A connection that cannot be accepted is no reason to end.
      server.off('error', reject).on('error', () => {});
      resolve();
    });
  });
}

type Bound = Pick<OwnSocket, 'fd' | 'place'>;

function adopt(
  libc: Libc,
  wanted: Place,
  inherited: InheritedSockets | undefined,
): Bound | undefined {
  const [fd, ...others] = inherited?.fds ?? [];
  for (const other of others) libc.close(other);
  if (inherited === undefined || fd === undefined) return undefined;
  if (isSame(wanted, inherited.place)) return { fd, place: inherited.place };
  libc.close(fd);
  return undefined;
}

function isSame(wanted: Place, given: Place): boolean {
  if ('path' in wanted || 'path' in given)
    return 'path' in wanted && 'path' in given && wanted.path === given.path;
  return addressOf(wanted) === given.host && (wanted.port === 0 || wanted.port === given.port);
}

function bind(libc: Libc, place: Place, owner: Identity): Bound {
  const { fd, place: bound } =
    'path' in place ? bindFile(libc, place, owner) : bindTcp(libc, place);
  try {
    libc.listen(fd, BACKLOG);
    return { fd, place: bound };
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

function bindFile(
  libc: Libc,
  place: Extract<Place, { path: string }>,
  { uid, gid }: Identity,
): Bound {
  removeStale(libc, place.path);
  const fd = libc.boundUnixSocket(place.path, place.mode);
  // Before anybody can connect; and never through a link that somebody has put there meanwhile.
  if (process.geteuid?.() === 0) lchownSync(place.path, uid, gid);
  return { fd, place };
}

function bindTcp(libc: Libc, place: TcpPlace): Bound {
  const host = addressOf(place);
  // SO_REUSEPORT would let us share a port with a stranger's process without a word.
  if (place.port !== 0) libc.checkPortFree(host, place.port);
  const fd = libc.boundSocket(host, place.port);
  return { fd, place: { host, port: libc.socketPort(fd) } };
}

function addressOf({ host }: TcpPlace): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}

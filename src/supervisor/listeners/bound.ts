/** Binds the sockets of one address, and says in the operator's words why it cannot. */
import { lstatSync, unlinkSync, type Stats } from 'node:fs';
import { showPlace, type Place, type TcpPlace, type UnixPlace } from '../../shared/ipc/place.ts';
import type { ListenAddress } from '../../shared/ipc/plan.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { StartupError } from '../startup-error.ts';

/** Bound, but not listening yet: a connection is refused and not queued. */
export interface Bound {
  /** With the port that the system chose. */
  readonly place: Place;
  readonly fds: number[];
}

/** @throws {StartupError} the address is taken, forbidden, or not of this machine; nothing stays open */
export function bindAddress(libc: Libc, address: ListenAddress, slots: number): Bound {
  return explained(address, () => {
    const { place } = address;
    return 'path' in place ? bindUnix(libc, place) : bindTcp(libc, place, slots);
  });
}

/** More sockets for an address that has some. */
export function bindMore(
  libc: Libc,
  address: ListenAddress,
  bound: Place,
  count: number,
): number[] {
  return explained(address, () =>
    'path' in bound ? [] : bindSlots(libc, bound.host, bound.port, count).fds,
  );
}

/** Does something to a socket of the address; failures get the address's name. */
export function explained<T>(address: ListenAddress, step: () => T): T {
  try {
    return step();
  } catch (thrown) {
    throw explain(thrown, address);
  }
}

function bindTcp(libc: Libc, { host: named, port }: TcpPlace, slots: number): Bound {
  const host = named === 'localhost' ? '127.0.0.1' : named;
  // SO_REUSEPORT would let us share a port with a stranger's process without a word.
  if (port !== 0) libc.checkPortFree(host, port);
  const bound = bindSlots(libc, host, port, slots);
  return { place: { host, port: bound.port }, fds: bound.fds };
}

function bindSlots(libc: Libc, host: string, wanted: number, count: number) {
  const fds: number[] = [];
  let port = wanted;
  try {
    for (let each = 0; each < count; each++) {
      fds.push(libc.boundSocket(host, port));
      if (port === 0) port = libc.socketPort(fds[0]!);
    }
    return { port, fds };
  } catch (thrown) {
    for (const fd of fds) libc.close(fd);
    throw thrown;
  }
}

function bindUnix(libc: Libc, place: UnixPlace): Bound {
  removeStale(libc, place.path);
  return { place, fds: [libc.boundUnixSocket(place.path, place.mode)] };
}

/** What a process that was killed has left behind. */
export function removeStale(libc: Libc, path: string): void {
  const there = fileAt(path);
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error('there is a file of that name, and it is not a socket');
  if (libc.isUnixSocketInUse(path)) throw new Error('another process listens there');
  unlinkSync(path);
}

export function fileAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Somebody else may have put theirs in its place. */
export function removeOurs(path: string, ours: Stats): void {
  try {
    if (isSameFile(ours, fileAt(path))) unlinkSync(path);
  } catch {
    // Made as root and left to whom we run as now: the next start replaces it.
  }
}

function isSameFile(one: Stats, other: Stats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

function explain(thrown: unknown, { service, place }: ListenAddress): unknown {
  const prefix = `service "${service}" cannot listen on ${showPlace(place)}`;
  const { code } = thrown as NodeJS.ErrnoException;
  const reason = 'path' in place ? undefined : tcpReason(code, place);
  if (reason !== undefined) return new StartupError(`${prefix}: ${reason}`);
  if (!(thrown instanceof Error)) return thrown;
  return new StartupError(`${prefix}: ${thrown.message}`, { cause: thrown });
}

function tcpReason(code: string | undefined, { port }: TcpPlace): string | undefined {
  switch (code) {
    case 'EADDRINUSE':
      return `another process listens there (find it with: ss -ltnp 'sport = :${port}')`;
    case 'EACCES':
      return 'permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address (see: ip address)';
    default:
      return undefined;
  }
}

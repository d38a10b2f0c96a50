/**
 * The listening sockets: one per address and worker slot, bound with
 * SO_REUSEPORT, owned by the supervisor and never accepted on by it. A worker
 * that dies leaves its connections-to-be in the kernel's queue of its slot,
 * where its replacement finds them. For Unix sockets there is no such sharing:
 * there is one, and every worker accepts on it.
 */
import { lstatSync, unlinkSync, type Stats } from 'node:fs';
import type { ListenerGrant } from '../../shared/ipc/messages.ts';
import { showPlace, type Place, type TcpPlace, type UnixPlace } from '../../shared/ipc/place.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { IdentityFiles } from '../../shared/tls/pem-files.ts';
import { StartupError } from '../startup-error.ts';

export interface ListenAddress {
  readonly service: string;
  readonly place: Place;
  readonly tls: IdentityFiles | undefined;
}

interface OpenAddress extends ListenAddress {
  /** By slot. */
  readonly fds: readonly number[];
  close(): void;
}

/** Connections the kernel may keep for a worker; it lowers this to net.core.somaxconn. */
const BACKLOG = 65_535;

export class ListeningSockets {
  readonly #libc: Libc;
  #open: readonly OpenAddress[];

  private constructor(libc: Libc, open: readonly OpenAddress[]) {
    this.#libc = libc;
    this.#open = open;
  }

  /**
   * Opens every address for every slot, or none.
   *
   * @throws {StartupError} an address is taken, forbidden, or not of this machine
   */
  static open(libc: Libc, addresses: readonly ListenAddress[], slots: number): ListeningSockets {
    const open: OpenAddress[] = [];
    try {
      for (const address of addresses) open.push(openAddress(libc, address, slots));
      return new ListeningSockets(libc, open);
    } catch (thrown) {
      for (const each of open) each.close();
      throw thrown;
    }
  }

  /**
   * What a worker of that slot is to listen on. Each descriptor is a copy of its
   * own, because node:cluster closes it when the worker leaves.
   */
  grant(slot: number): ListenerGrant[] {
    return this.#open.map(({ service, place, tls, fds }) => {
      const fd = fds[slot];
      if (fd === undefined) throw new Error(`no sockets were opened for slot ${slot}`);
      return { service, place, tls, fd: this.#libc.dup(fd) };
    });
  }

  /** May be called more than once. */
  close(): void {
    for (const each of this.#open) each.close();
    this.#open = [];
  }
}

function openAddress(libc: Libc, address: ListenAddress, slots: number): OpenAddress {
  try {
    const { place } = address;
    const opened = 'path' in place ? openUnix(libc, place, slots) : openTcp(libc, place, slots);
    return { ...address, ...opened };
  } catch (thrown) {
    throw explain(thrown, address);
  }
}

type Opened = Pick<OpenAddress, 'place' | 'fds' | 'close'>;

function openTcp(libc: Libc, place: TcpPlace, slots: number): Opened {
  const host = place.host === 'localhost' ? '127.0.0.1' : place.host;
  const fds: number[] = [];
  const close = () => {
    for (const fd of fds) libc.close(fd);
  };
  let { port } = place;
  try {
    // SO_REUSEPORT would let us share a port with a stranger's process without a word.
    if (port !== 0) libc.checkPortFree(host, port);
    for (let slot = 0; slot < slots; slot++) {
      fds.push(libc.listenSocket({ host, port, backlog: BACKLOG }));
      if (port === 0) port = libc.socketPort(fds[0]!);
    }
    return { place: { host, port }, fds, close };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

function openUnix(libc: Libc, place: UnixPlace, slots: number): Opened {
  const { path, mode } = place;
  removeStale(libc, path);
  const fd = libc.listenUnixSocket({ path, mode, backlog: BACKLOG });
  const ours = lstatSync(path);
  return {
    place,
    fds: Array.from({ length: slots }, () => fd),
    close() {
      libc.close(fd);
      removeOurs(path, ours);
    },
  };
}

/** Somebody else may have put theirs in its place. */
function removeOurs(path: string, ours: Stats): void {
  try {
    if (isSameFile(ours, fileAt(path))) unlinkSync(path);
  } catch {
    // Made as root and left to whom we run as now: the next start replaces it.
  }
}

/** What a process that was killed has left behind. */
function removeStale(libc: Libc, path: string): void {
  const there = fileAt(path);
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error('there is a file of that name, and it is not a socket');
  if (libc.isUnixSocketInUse(path)) throw new Error('another process listens there');
  unlinkSync(path);
}

function fileAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
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

/**
 * The listening sockets: one per address and worker slot, bound with
 * SO_REUSEPORT, owned by the supervisor and never accepted on by it. A worker
 * that dies leaves its connections-to-be in the kernel's queue of its slot,
 * where its replacement finds them.
 */
import type { ListenerGrant } from '../../shared/ipc/messages.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { StartupError } from '../startup-error.ts';

export interface ListenAddress {
  readonly service: string;
  readonly host: string;
  /** 0: the system chooses one, the same for all slots. */
  readonly port: number;
}

interface OpenAddress extends ListenAddress {
  /** By slot. */
  readonly fds: readonly number[];
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
      for (const { fds } of open) for (const fd of fds) libc.close(fd);
      throw thrown;
    }
  }

  get addresses(): readonly ListenAddress[] {
    return this.#open;
  }

  /**
   * What a worker of that slot is to listen on. Each descriptor is a copy of its
   * own, because node:cluster closes it when the worker leaves.
   */
  grant(slot: number): ListenerGrant[] {
    return this.#open.map(({ service, host, port, fds }) => {
      const fd = fds[slot];
      if (fd === undefined) throw new Error(`no sockets were opened for slot ${slot}`);
      return { service, host, port, fd: this.#libc.dup(fd) };
    });
  }

  /** May be called more than once. */
  close(): void {
    for (const { fds } of this.#open) for (const fd of fds) this.#libc.close(fd);
    this.#open = [];
  }
}

function openAddress(libc: Libc, address: ListenAddress, slots: number): OpenAddress {
  const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
  const fds: number[] = [];
  let { port } = address;
  try {
    // SO_REUSEPORT would let us share a port with a stranger's process without a word.
    if (port !== 0) libc.checkPortFree(host, port);
    for (let slot = 0; slot < slots; slot++) {
      fds.push(libc.listenSocket({ host, port, backlog: BACKLOG }));
      if (port === 0) port = libc.socketPort(fds[0]!);
    }
    return { service: address.service, host, port, fds };
  } catch (thrown) {
    for (const fd of fds) libc.close(fd);
    throw explain(thrown, address);
  }
}

function explain(thrown: unknown, { service, host, port }: ListenAddress): unknown {
  const shown = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const prefix = `service "${service}" cannot listen on ${shown}`;
  switch ((thrown as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new StartupError(
        `${prefix}: another process listens there (find it with: ss -ltnp 'sport = :${port}')`,
      );
    case 'EACCES':
      return new StartupError(
        `${prefix}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE`,
      );
    case 'EADDRNOTAVAIL':
      return new StartupError(`${prefix}: this machine has no such address (see: ip address)`);
    default:
      return thrown instanceof Error
        ? new StartupError(`${prefix}: ${thrown.message}`, { cause: thrown })
        : thrown;
  }
}

/**
 * The listening sockets: one per address and worker slot, bound with
 * SO_REUSEPORT, owned by the supervisor and never accepted on by it. A worker
 * that dies leaves its connections-to-be in the kernel's queue of its slot,
 * where its replacement finds them. For Unix sockets there is no such sharing:
 * there is one, and every worker accepts on it.
 *
 * They belong to addresses, not to services or generations: a reload that
 * serves an address in another way keeps its sockets, and what is queued in them.
 */
import { chmodSync, type Stats } from 'node:fs';
import type { ListenerGrant, SocketName } from '../../shared/ipc/messages.ts';
import { showPlace, type Place } from '../../shared/ipc/place.ts';
import type { ListenAddress } from '../../shared/ipc/plan.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { InheritedSockets } from '../inheritance.ts';
import { bindAddress, bindMore, explained, fileAt, removeOurs } from './bound.ts';

interface OpenAddress {
  readonly key: string;
  /** Where it is bound. */
  place: Place;
  /** By slot; of a Unix socket there is one. */
  readonly fds: number[];
  /**
   * The kernel was told over how many of them to spread connections; of an inherited
   * address nobody here knows whether it was.
   */
  isSteered: boolean;
  /** How many of them a predecessor may go on with; 0 once it does not. */
  inherited: number;
  /** The file of a Unix socket; absent while it is still a predecessor's to remove. */
  file: Stats | undefined;
}

/** Connections the kernel may keep for a worker; it lowers this to net.core.somaxconn. */
const BACKLOG = 65_535;

/** A dropped slot takes its last connections for a second; on a busy machine it may be late with that. */
const WIDEN_AFTER_MS = 5_000;

export class ListeningSockets {
  readonly #libc: Libc;
  readonly #open = new Map<string, OpenAddress>();

  /** @param inherited descriptors are ours from now on, the files of Unix sockets only with `retain` */
  constructor(libc: Libc, inherited: readonly InheritedSockets[] = []) {
    this.#libc = libc;
    for (const { key, place, fds } of inherited)
      this.#open.set(key, {
        key,
        place,
        fds: [...fds],
        isSteered: true,
        inherited: fds.length,
        file: undefined,
      });
  }

  /**
   * Binds what is missing for a generation of workers. Nothing listens yet that
   * did not before, so that giving it up costs nobody a connection.
   *
   * @throws {StartupError} an address is taken, forbidden, or not of this machine; nothing has changed
   */
  prepare(listen: readonly ListenAddress[], slots: number): GenerationSockets {
    const prepared = new GenerationSockets(this.#libc, this.#open, listen, slots);
    prepared.bind();
    return prepared;
  }

  /**
   * That generation serves: closes what it does not use. Workers that still accept
   * on it have copies of their own; of addresses that stay, new connections go to
   * the sockets that stay, from this moment on.
   */
  retain(generation: GenerationSockets): void {
    for (const [key, address] of this.#open) {
      address.inherited = 0;
      if ('path' in address.place) address.file ??= fileAt(address.place.path);
      const used = generation.slotsOf(key);
      if (used === 0) this.#remove(address);
      else if (!('path' in address.place)) this.#shrink(address, used);
    }
  }

  #shrink(address: OpenAddress, slots: number): void {
    const [first] = address.fds;
    if (first === undefined || address.fds.length <= slots) return;
    this.#libc.spreadOver(first, slots);
    address.isSteered = true;
    for (const fd of address.fds.splice(slots)) this.#libc.close(fd);
  }

  /** For a successor; the descriptors stay ours. */
  get inventory(): InheritedSockets[] {
    return [...this.#open.values()].map(({ key, place, fds }) => ({ key, place, fds: [...fds] }));
  }

  /** Somebody else serves them now: the files of Unix sockets stay. May be called more than once. */
  leave(): void {
    for (const address of this.#open.values()) this.#steerBack(address);
    for (const { fds } of this.#open.values()) this.#closeAll(fds);
    this.#open.clear();
  }

  /** To a predecessor that serves on: what we have added is about to be closed. */
  #steerBack({ fds, inherited }: OpenAddress): void {
    const [first] = fds;
    if (first === undefined || inherited === 0 || inherited >= fds.length) return;
    try {
      this.#libc.spreadOver(first, inherited);
    } catch {
      // Then a handshake that is under way in ours is cut; those that come later are not.
    }
  }

  /** May be called more than once. */
  close(): void {
    for (const address of this.#open.values()) this.#remove(address);
  }

  #remove({ key, place, fds, file }: OpenAddress): void {
    this.#closeAll(fds);
    if ('path' in place && file !== undefined) removeOurs(place.path, file);
    this.#open.delete(key);
  }

  /** A generation that is given up meanwhile must not close them again. */
  #closeAll(fds: number[]): void {
    for (const fd of fds.splice(0)) this.#libc.close(fd);
  }
}

/** The sockets of one generation of workers. */
export class GenerationSockets {
  readonly #libc: Libc;
  readonly #open: Map<string, OpenAddress>;
  readonly #listen: readonly ListenAddress[];
  readonly #keys: readonly string[];
  readonly #slots: number;
  /** What was bound for it, to be closed if it is given up. */
  readonly #bound: { readonly address: OpenAddress; readonly from: number }[] = [];

  constructor(
    libc: Libc,
    open: Map<string, OpenAddress>,
    listen: readonly ListenAddress[],
    slots: number,
  ) {
    this.#libc = libc;
    this.#open = open;
    this.#listen = listen;
    this.#keys = addressKeys(listen);
    this.#slots = slots;
  }

  bind(): void {
    try {
      for (const [at, address] of this.#listen.entries()) this.#bind(this.#keys[at]!, address);
    } catch (thrown) {
      this.undo();
      throw thrown;
    }
  }

  #bind(key: string, address: ListenAddress): void {
    const known = this.#open.get(key);
    if (known === undefined) {
      const { place, fds } = bindAddress(this.#libc, address, this.#slots);
      const file = 'path' in place ? fileAt(place.path) : undefined;
      const opened: OpenAddress = { key, place, fds, isSteered: false, inherited: 0, file };
      this.#open.set(key, opened);
      this.#bound.push({ address: opened, from: 0 });
    } else if (this.#needsMore(known)) {
      const from = known.fds.length;
      known.fds.push(...bindMore(this.#libc, address, known.place, this.#slots - from));
      this.#bound.push({ address: known, from });
    }
  }

  /** A socket of a service manager may not share its port; then all slots share that one. */
  #needsMore({ place, fds }: OpenAddress): boolean {
    const [first] = fds;
    if ('path' in place || fds.length >= this.#slots || first === undefined) return false;
    return this.#libc.sharesPort(first);
  }

  /**
   * What was bound anew takes connections from now on. In the order of the slots:
   * the kernel numbers the sockets of an address in the order in which they begin.
   *
   * @throws {StartupError} somebody else was faster; `undo` is up to the caller
   */
  listen(): void {
    for (const [at, address] of this.#listen.entries()) {
      explained(address, () => {
        const open = this.#open.get(this.#keys[at]!)!;
        changeMode(open, address.place);
        const bound = this.#bound.find((each) => each.address === open);
        for (const fd of open.fds.slice(bound?.from ?? open.fds.length))
          this.#libc.listen(fd, BACKLOG);
        if (bound !== undefined && open.isSteered && !('path' in open.place))
          this.#widenLater(open);
      });
    }
  }

  /**
   * What the kernel was told for fewer sockets is not taken back at once: a slot that was
   * dropped a moment ago may still have its last connections, and its socket then
   * stands before ours in the kernel's order. Until it is gone, ours take none.
   */
  #widenLater(open: OpenAddress): void {
    const timer = setTimeout(() => {
      const [first] = open.fds;
      if (first === undefined || this.#open.get(open.key) !== open) return;
      try {
        this.#libc.spreadOver(first, open.fds.length);
      } catch {
        // The others go on taking all connections; nothing of the start waits for this.
      }
    }, WIDEN_AFTER_MS);
    timer.unref();
  }

  /** Closes what was bound for this generation. */
  undo(): void {
    for (const { address, from } of this.#bound.splice(0)) {
      const { key, place, file } = address;
      for (const fd of address.fds.splice(from)) this.#libc.close(fd);
      if (from > 0) continue;
      if ('path' in place && file !== undefined) removeOurs(place.path, file);
      this.#open.delete(key);
    }
  }

  uses({ slot, key }: SocketName): boolean {
    // A Unix socket is the same for every slot.
    const isShared = 'path' in (this.#open.get(key)?.place ?? {});
    return this.#keys.includes(key) && (isShared || slot < this.#slots);
  }

  /** How many of an address's sockets are used. */
  slotsOf(key: string): number {
    return this.#keys.includes(key) ? this.#slots : 0;
  }

  /**
   * What a worker of that slot is to listen on. Each descriptor is a copy of its
   * own, because node:cluster closes it when the worker leaves.
   */
  grant(slot: number): ListenerGrant[] {
    const copies: number[] = [];
    try {
      return this.#listen.map(({ service, tls }, at) => {
        const key = this.#keys[at]!;
        const { place, fds } = this.#open.get(key)!;
        const fd = fds[slot % fds.length];
        if (fd === undefined) throw new Error(`no sockets were opened for slot ${slot}`);
        const copy = this.#libc.dup(fd);
        copies.push(copy);
        return { key, service, place, tls, fd: copy };
      });
    } catch (thrown) {
      for (const copy of copies) this.#libc.close(copy);
      throw thrown;
    }
  }
}

function changeMode(open: OpenAddress, wanted: Place): void {
  if (!('path' in open.place) || !('path' in wanted) || open.place.mode === wanted.mode) return;
  chmodSync(open.place.path, wanted.mode);
  open.place = wanted;
}

/**
 * Names the addresses of a program, whichever service they are for. Addresses
 * whose port the system chooses are told apart by their order.
 */
export function addressKeys(listen: readonly ListenAddress[]): string[] {
  const times = new Map<string, number>();
  return listen.map(({ place }) => {
    const shown = showPlace(place);
    const time = (times.get(shown) ?? 0) + 1;
    times.set(shown, time);
    return time === 1 ? shown : `${shown} (${time})`;
  });
}

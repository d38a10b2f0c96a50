/**
 * Copies of listening sockets that are on their way to one worker. node:cluster
 * takes each when the worker asks for it, and closes it when the worker leaves it.
 * Of a worker that ends before it has asked nobody would close them, and an address
 * that is given up later would still be listened on.
 */
import { closeSync, fstatSync } from 'node:fs';
import type { ListenerGrant } from '../../shared/ipc/messages.ts';

interface Loan {
  readonly slot: number;
  readonly fds: readonly number[];
}

/** Of all workers: the inode of what was lent under that number last, and to whom. */
const lent = new Map<number, { readonly inode: number; readonly to: Loans }>();

export class Loans {
  /** In the order in which they are answered. */
  readonly #open: Loan[] = [];

  lend(slot: number, listeners: readonly ListenerGrant[]): void {
    const fds = listeners.flatMap(({ fd }) => (fd === undefined ? [] : [fd]));
    for (const fd of fds) lent.set(fd, { inode: fstatSync(fd).ino, to: this });
    this.#open.push({ slot, fds });
  }

  /** The worker accepts there: all were asked for. */
  settle(slot: number): void {
    const at = this.#open.findIndex((loan) => loan.slot === slot);
    if (at < 0) return;
    for (const { fds } of this.#open.splice(at, 1)) for (const fd of fds) this.#forget(fd);
  }

  /** The worker can ask no more. */
  end(): void {
    for (const { fds } of this.#open.splice(0)) {
      for (const fd of fds) {
        const inode = this.#forget(fd);
        if (inode !== undefined && inode === inodeOf(fd)) closeSync(fd);
      }
    }
  }

  /** @returns undefined if the number was closed, and lent to another worker since */
  #forget(fd: number): number | undefined {
    const loan = lent.get(fd);
    if (loan?.to !== this) return undefined;
    lent.delete(fd);
    return loan.inode;
  }
}

/** Undefined if nothing is open under that number. */
function inodeOf(fd: number): number | undefined {
  try {
    return fstatSync(fd).ino;
  } catch {
    return undefined;
  }
}

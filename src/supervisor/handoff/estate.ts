/** What is handed over, cut into batches and put together again. */
import type { Inheritance, InheritedSegment, InheritedSockets } from '../inheritance.ts';
import { BrokenFrame, MAX_DESCRIPTORS } from './frames.ts';
import type { Batch, Item } from './messages.ts';

export interface Load {
  readonly batch: Batch;
  readonly descriptors: readonly number[];
}

/** At least one, if only to say that there is nothing. */
export function loadsOf({ sockets, segments }: Inheritance): Load[] {
  const pieces: { readonly item: Item; readonly fd: number }[] = [
    ...sockets.flatMap(({ key, place, fds }) =>
      fds.map((fd) => ({ item: { kind: 'socket', key, place } as const, fd })),
    ),
    ...segments.map(({ fd, ...spec }) => ({ item: { kind: 'segment', ...spec } as const, fd })),
  ];
  const count = Math.max(1, Math.ceil(pieces.length / MAX_DESCRIPTORS));
  return Array.from({ length: count }, (_, at) => {
    const part = pieces.slice(at * MAX_DESCRIPTORS, (at + 1) * MAX_DESCRIPTORS);
    const items = part.map(({ item }) => item);
    return {
      batch: { kind: 'batch', number: at + 1, last: at + 1 === count, items },
      descriptors: part.map(({ fd }) => fd),
    };
  });
}

/** What has been received so far. Its descriptors are its own until `take`. */
export class ReceivedEstate {
  readonly #close: (fd: number) => void;
  readonly #sockets = new Map<string, Gathered>();
  readonly #segments: InheritedSegment[] = [];
  #batches = 0;

  constructor(close: (fd: number) => void) {
    this.#close = close;
  }

  /** @throws {BrokenFrame} not the batch that was due; its descriptors are closed */
  add({ number, items }: Batch, descriptors: readonly number[]): void {
    if (number !== this.#batches + 1 || items.length !== descriptors.length) {
      for (const fd of descriptors) this.#close(fd);
      throw new BrokenFrame(
        `expected batch ${this.#batches + 1} with a descriptor for each item, got batch ${number} with ${items.length} items and ${descriptors.length} descriptors`,
      );
    }
    this.#batches = number;
    for (const [at, item] of items.entries()) this.#addItem(item, descriptors[at]!);
  }

  take(): Inheritance {
    const sockets = [...this.#sockets.values()];
    const segments = this.#segments.splice(0);
    this.#sockets.clear();
    return { sockets, segments };
  }

  closeAll(): void {
    const { sockets, segments } = this.take();
    for (const { fds } of sockets) for (const fd of fds) this.#close(fd);
    for (const { fd } of segments) this.#close(fd);
  }

  #addItem(item: Item, fd: number): void {
    switch (item.kind) {
      case 'socket': {
        const { key, place } = item;
        const known = this.#sockets.get(key) ?? { key, place, fds: [] };
        known.fds.push(fd);
        this.#sockets.set(key, known);
        return;
      }
      case 'segment': {
        const { kind: _, ...spec } = item;
        this.#segments.push({ ...spec, fd });
        return;
      }
      case 'unknown':
        return this.#close(fd);
    }
  }
}

type Gathered = InheritedSockets & { readonly fds: number[] };

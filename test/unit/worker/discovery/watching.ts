/** Stands where the runner stands: remembers what a discovery tells, and lets time pass when the test says so. */
import type { TestContext } from 'node:test';
import type {
  Discovery,
  DiscoveryWatcher,
  FoundPeer,
} from '../../../../src/worker/discovery/discovery.ts';

export type Told =
  | { readonly found: readonly FoundPeer[]; readonly doubt?: string }
  | { readonly failed: string };

export interface Watching {
  /** The next thing that it tells. */
  told(): Promise<Told>;
  /** The addresses of the next set. */
  addresses(): Promise<readonly string[]>;
  /** The pause that it asks for next, which is over with that. */
  pause(): Promise<number>;
  stop(): void;
  readonly ended: Promise<void>;
}

export function watching(t: TestContext, discovery: Discovery): Watching {
  const stopping = new AbortController();
  const told = new Mailbox<Told>();
  const pauses = new Mailbox<{ ms: number; end: () => void }>();
  let inUse: readonly FoundPeer[] = [];
  const watcher: DiscoveryWatcher = {
    signal: stopping.signal,
    get inUse() {
      return inUse;
    },
    found(peers, doubt) {
      inUse = peers;
      told.put({ found: peers, ...(doubt !== undefined && { doubt: doubt.message }) });
    },
    failed: ({ message }) => told.put({ failed: message }),
    pause: (ms) =>
      new Promise((end) => {
        stopping.signal.addEventListener('abort', () => end(), { once: true });
        pauses.put({ ms, end });
      }),
  };
  const ended = discovery.watch(watcher);
  t.after(() => stopping.abort());
  return {
    told: () => told.next(),
    async addresses() {
      const next = await told.next();
      if (!('found' in next)) throw new Error(`expected a set, got "${next.failed}"`);
      return next.found.map(({ address }) => address);
    },
    async pause() {
      const { ms, end } = await pauses.next();
      end();
      return ms;
    },
    stop: () => stopping.abort(),
    ended,
  };
}

class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#items.push(item);
    else waiting(item);
  }

  next(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(item);
  }
}

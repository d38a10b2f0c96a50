/**
 * Runs a discovery and publishes what it finds for all workers of the host. A
 * source that fails changes nothing but the age of the set: it is said once, and
 * once more when it is over.
 */
import type { Log } from '../../shared/log/log.ts';
import type { DiscoveredSet } from '../../shared/memory/discovered-set.ts';
import { retryPauseMs } from '../../shared/time/retry-pause.ts';
import type { Time } from '../../shared/time/time.ts';
import type { Discovery, DiscoveryWatcher, FoundPeer } from './discovery.ts';
import { difference, peerSet, type KnownPeer } from './peer-set.ts';

export interface RunOptions {
  readonly upstream: string;
  readonly discovery: Discovery;
  readonly set: DiscoveredSet;
  readonly time: Time;
  readonly log: Log;
  /** The set is another one, or its source has begun to fail. */
  readonly onChange?: () => void;
}

/** @returns stops it */
export function runDiscovery(options: RunOptions): () => void {
  const stopping = new AbortController();
  void new Run(options, stopping.signal).keepWatching();
  return () => stopping.abort();
}

/** Of the addresses that came or went; a log line is no place for a thousand. */
const NAMED = 10;

class Run implements DiscoveryWatcher {
  readonly signal: AbortSignal;
  readonly #options: RunOptions;
  readonly #log: Log;
  #hasSaidWhy = false;
  /** As text; `undefined`: this run has published none yet. */
  #published: string | undefined;
  #failures = 0;

  constructor(options: RunOptions, signal: AbortSignal) {
    const { upstream, discovery, log } = options;
    this.#options = options;
    this.signal = signal;
    this.#log = log.child({ upstream, source: discovery.source });
  }

  get inUse(): readonly FoundPeer[] {
    return this.#options.set.read()?.peers ?? [];
  }

  async keepWatching(): Promise<void> {
    while (!this.signal.aborted) {
      try {
        return await this.#options.discovery.watch(this);
      } catch (thrown) {
        this.failed(asError(thrown));
      }
      this.#failures += 1;
      await this.pause(retryPauseMs(this.#failures));
    }
  }

  found(peers: readonly FoundPeer[], doubt?: Error): void {
    if (this.signal.aborted) return;
    try {
      this.#publish(peerSet(peers));
    } catch (thrown) {
      return this.failed(asError(thrown));
    }
    if (doubt !== undefined) return this.failed(doubt);
    const { set, time } = this.#options;
    // It may have been another worker that said so.
    const wasFailing = set.isFailing;
    set.confirm(time.clock());
    if (wasFailing) this.#log.info({}, 'discovery works again');
    this.#hasSaidWhy = false;
    this.#failures = 0;
  }

  /** The first time in any case: what is there may be another worker's, who was stopped in the middle. */
  #publish(peers: readonly KnownPeer[]): void {
    const { set } = this.#options;
    const text = textOf(peers);
    if (text === this.#published && this.#isThere(text)) return;
    const before = set.read()?.peers ?? [];
    set.publish(peers);
    this.#published = text;
    this.#options.onChange?.();
    const { added, removed } = difference(before, peers);
    if (added.length === 0 && removed.length === 0) return;
    const fields = { peers: peers.length, added: named(added), removed: named(removed) };
    if (peers.length === 0) this.#log.warn(fields, 'no peers left');
    else this.#log.info(fields, 'peers changed');
  }

  /** Another worker may have had the duty for a moment. */
  #isThere(text: string): boolean {
    const set = this.#options.set.read();
    return set !== undefined && textOf(set.peers) === text;
  }

  failed(reason: Error): void {
    if (this.signal.aborted) return;
    const { set } = this.#options;
    set.fail();
    if (this.#hasSaidWhy) return;
    this.#hasSaidWhy = true;
    this.#options.onChange?.();
    this.#log.warn(
      { reason: reason.message, peers: this.inUse.length },
      set.number === 0
        ? 'discovery fails, and has found no peers yet'
        : 'discovery fails, the last set stays in use',
    );
  }

  pause(ms: number): Promise<void> {
    const { signal } = this;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = () => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#options.time.after(ms, end);
      signal.addEventListener('abort', end, { once: true });
    });
  }
}

function textOf(peers: readonly KnownPeer[]): string {
  return JSON.stringify(peers.map(({ address, weight, priority }) => [address, weight, priority]));
}

/** A program may throw anything. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function named(addresses: readonly string[]): string[] {
  const more = addresses.length - NAMED;
  return more <= 0 ? [...addresses] : [...addresses.slice(0, NAMED), `and ${more} more`];
}

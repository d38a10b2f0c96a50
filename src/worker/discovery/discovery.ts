/**
 * Where the peers of an upstream come from, when they are not written down: a
 * name in DNS, a file, an orchestrator. Yours may be one: an object with these.
 */

/** A peer as it was found. */
export interface FoundPeer {
  /** `host:port`, `[ipv6]:port` or `unix:/path`. */
  readonly address: string;
  /** Share of the traffic; default 1, and 0 takes no new traffic. */
  readonly weight?: number | undefined;
  /** Peers with a higher number get traffic only while none with a lower one may be used. Default 0. */
  readonly priority?: number | undefined;
}

export interface Discovery {
  /** Says what is looked at, in logs, and tells one source from another: a set that came from a different one is not used. */
  readonly source: string;
  /**
   * Tells which peers there are, now and whenever that changes, until `signal` is aborted. One
   * worker of a host does this for all of them, and another when that one ends.
   *
   * Returns before only if nothing will change any more. If it throws, that counts as
   * `failed`, and it is called again after a pause which grows from 1 s to 30 s.
   */
  watch(watcher: DiscoveryWatcher): Promise<void>;
}

export interface DiscoveryWatcher {
  /** Aborted when another worker takes over, or nobody needs the peers any more. */
  readonly signal: AbortSignal;
  /** The set in use, also one that another worker has found; none before the first. */
  readonly inUse: readonly FoundPeer[];
  /**
   * All the peers that there are. Call it also if they are the same as before: that keeps
   * the set's age low.
   *
   * @param doubt a part could not be found out, and was taken from `inUse`: they are used,
   *   and what failed is said as by `failed`
   */
  found(peers: readonly FoundPeer[], doubt?: Error): void;
  /** It could not be found out; the last set stays in use. */
  failed(reason: Error): void;
  /** Resolves after so many milliseconds, or once `signal` is aborted. */
  pause(ms: number): Promise<void>;
}

/**
 * How the next peer is chosen. Pure: an algorithm sees candidates and their
 * weights, never connections or health; whoever asks says which it takes.
 */
export interface Candidate {
  /** `host:port`, `[ipv6]:port` or `unix:/path`: algorithms that choose by a key know a peer by it. */
  readonly address: string;
  /** Share of the traffic relative to the others; above 0. */
  readonly weight: number;
  /** Requests under way to it now, of all processes of the host. */
  readonly inFlight: number;
  /** Until its responses begin, as a rule; microseconds, and 0 if nothing is known. */
  readonly latencyUs: number;
}

/** Chooses among the candidates it was built of. */
export interface Picker<C extends Candidate> {
  /**
   * The algorithm's first choice that `accept` takes; `undefined` if it takes none.
   *
   * @param accept asked at most a few times for each candidate, with no promise about the order
   * @param key whose request it is; algorithms that do not choose by a key are not interested
   */
  pick(accept: (candidate: C) => boolean, key: string): C | undefined;
}

/** An algorithm. Yours may be one: an object with these three. */
export interface Selection {
  /** In errors. */
  readonly name: string;
  /** The same key gets the same peer, as long as that is taken. */
  readonly byKey: boolean;
  /** It goes by `latencyUs`, which so is worth measuring. Default: false. */
  readonly byLatency?: boolean;
  /** A picker with a state of its own. @param candidates at least one; never changed afterwards */
  build<C extends Candidate>(candidates: readonly C[]): Picker<C>;
}

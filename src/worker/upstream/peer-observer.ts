/**
 * Who is told of the requests that go to a peer. It travels with the peer, so
 * that whatever a program makes of one that a balancer has selected is still counted.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';

export interface PeerObserver {
  /** What a request has to enter before `attempt`; `undefined`: nothing. The end of the attempt leaves it. */
  readonly gate: Gate | undefined;
  /** A request is about to go to the peer. */
  attempt(): PeerAttempt;
}

/** Bounds how many requests are under way at a time. */
export interface Gate {
  /** Whether the request may begin now. Nobody overtakes those that wait. */
  tryEnter(): boolean;
  /**
   * For a request that could not enter.
   *
   * @returns takes it back, if it waits still
   * @throws {ProxyError} `upstream/overloaded`: too many wait already
   */
  wait(waiter: GateWaiter): () => void;
}

/** A request that waits. It hears of one of the two, once. */
export interface GateWaiter {
  onEntered(): void;
  onRefused(error: ProxyError): void;
}

/** One request to one peer; another try of it is another attempt. */
export interface PeerAttempt {
  /** The final head of the peer's response has come. */
  responded(status: number): void;
  /**
   * It is over, on whatever way. Calls after the first one mean nothing.
   *
   * @param error why there is no complete response; `facts.side` says on whose side it happened
   */
  ended(error?: ProxyError): void;
}

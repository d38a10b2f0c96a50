/**
 * Who is told of the requests that go to a peer. It travels with the peer, so
 * that whatever a program makes of one that a balancer has selected is still counted.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';

export interface PeerObserver {
  /** A request is about to go to the peer. */
  attempt(): PeerAttempt;
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

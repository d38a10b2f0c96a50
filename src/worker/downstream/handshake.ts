/** A client's connection that does not speak HTTP yet: the TLS handshake is under way. */
import type { Socket } from 'node:net';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import type { ClientAddress } from '../http/exchange.ts';
import type { HandshakeListener, TlsServer } from '../tls/server.ts';
import type { Connected } from '../transport/connect.ts';

/** Hears of one of the two, once, unless it is destroyed before. */
export interface HandshakeOwner {
  onSecured(handshake: Handshake, connected: Connected): void;
  onFailed(handshake: Handshake, reason: string): void;
}

export interface HandshakeParts {
  readonly tls: TlsServer;
  readonly deadlines: Deadlines;
  readonly timeoutMs: number;
  readonly owner: HandshakeOwner;
}

export class Handshake implements HandshakeListener, Expiring {
  deadlineAt: number;
  readonly client: ClientAddress;
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;
  readonly #owner: HandshakeOwner;
  readonly #stop: () => void;

  /** @param client whose socket it is; once it is closed, nobody can say */
  constructor(
    raw: Socket,
    client: ClientAddress,
    { tls, deadlines, timeoutMs, owner }: HandshakeParts,
  ) {
    this.client = client;
    this.#deadlines = deadlines;
    this.#timeoutMs = timeoutMs;
    this.#owner = owner;
    deadlines.add(this);
    this.deadlineAt = deadlines.now + timeoutMs;
    this.#stop = tls.shakeHands(raw, this);
  }

  onSecured(connected: Connected): void {
    this.#deadlines.remove(this);
    this.#owner.onSecured(this, connected);
  }

  onFailed(reason: string): void {
    this.#deadlines.remove(this);
    this.#owner.onFailed(this, reason);
  }

  onDeadline(): void {
    this.destroy();
    this.#owner.onFailed(this, `it was not complete within ${this.#timeoutMs} ms`);
  }

  /** Closes at once, and says nothing. */
  destroy(): void {
    this.#deadlines.remove(this);
    this.#stop();
  }
}

/** One look at a peer: whether it is well, and if not, why. */
import type { Deadlines } from '../../shared/time/deadlines.ts';
import type { HealthCheck } from '../balance/health-check.ts';
import { NOBODY } from '../transport/transport.ts';
import type { Dial } from '../upstream/dial.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import { HttpProbe } from './http-probe.ts';

/** @param reason why the peer is not well; `undefined`: it is */
export type Verdict = (reason: string | undefined) => void;

/** Looks at one peer, as often as it is told to; never twice at the same time. */
export interface Probe {
  /** @param done hears of the end, once, not before this returns; unless it is stopped */
  begin(done: Verdict): void;
  /** Ends the look that is under way; nobody hears of it. Another may begin. */
  stop(): void;
  /** It is not needed any more. */
  close(): void;
}

export interface ProbeParts {
  readonly dial: Dial;
  readonly deadlines: Deadlines;
}

/** The way to look at that peer. Another protocol's is one more case. */
export function probeFor(peer: HttpPeer, check: HealthCheck, parts: ProbeParts): Probe {
  const { port } = check;
  const target = port === undefined || peer.path !== undefined ? peer : peer.atPort(port);
  switch (check.type) {
    case 'tcp':
      return new ConnectProbe(target, parts.dial);
    case 'http':
      return new HttpProbe(target, check, parts);
  }
}

/** With a peer that speaks TLS, the handshake is part of being well. */
class ConnectProbe implements Probe {
  readonly #peer: HttpPeer;
  readonly #dial: Dial;
  #giveUp: (() => void) | undefined;

  constructor(peer: HttpPeer, dial: Dial) {
    this.#peer = peer;
    this.#dial = dial;
  }

  begin(done: Verdict): void {
    this.#giveUp = this.#dial(
      this.#peer,
      {
        onConnected(connected) {
          connected((transport) => {
            transport.destroy();
            return NOBODY;
          });
          done(undefined);
        },
        onFailed: (error) => done(error.message),
      },
      this.#peer.proxyHeader(undefined),
    );
  }

  stop(): void {
    this.#giveUp?.();
  }

  close(): void {
    this.stop();
  }
}

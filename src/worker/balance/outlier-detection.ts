/**
 * Notices peers that fail again and again by the requests that are sent to them,
 * and leaves them alone for a while, for the whole host at once. Needs no probes,
 * and sees what probes do not.
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { EjectionTimes, PeerEjections, Streak } from '../../shared/memory/peer-ejections.ts';
import type { Clock } from '../../shared/time/clock.ts';

export interface OutlierDetectionOptions {
  /**
   * Requests in a row that a peer did not answer, or not to the end: refused, reset,
   * timed out, cut, malformed. Default 5; 0: that is no reason.
   */
  readonly consecutiveFailures?: number;
  /**
   * Responses in a row with a status of 500 or above. Default 0: that is no reason, since whoever knows
   * a request that makes every peer answer so could have them ejected.
   */
  readonly consecutive5xx?: number;
  /** How long a peer is left alone the first time; the second time twice as long, and so on. Default 30,000 ms. */
  readonly baseEjectionMs?: number;
  /** The longest of all. Default 300,000 ms. */
  readonly maxEjectionMs?: number;
  /** Of the peers of the balancer, so many are ejected at a time, but one in any case. Default 10. */
  readonly maxEjectionPercent?: number;
}

const CHECKS = {
  consecutiveFailures: true,
  consecutive5xx: true,
  baseEjectionMs: true,
  maxEjectionMs: true,
  maxEjectionPercent: true,
} as const;

/** A peer, seen from here. */
export interface Suspect {
  readonly address: string;
  readonly row: number;
}

export interface Ejection extends Suspect {
  readonly reason: string;
  readonly durationMs: number;
}

/** What the detector works with, once there is shared memory. */
export interface OutlierTable {
  readonly ejections: PeerEjections;
  readonly clock: Clock;
  /** All that take traffic. */
  readonly peers: () => readonly Suspect[];
  /** Whether it gets requests now. */
  readonly mayServe: (peer: Suspect) => boolean;
  readonly onEjected: (ejection: Ejection) => void;
}

export class OutlierDetection {
  readonly #bounds: Readonly<Record<Streak, number>>;
  readonly #times: EjectionTimes;
  readonly #maxShare: number;
  #table: OutlierTable | undefined;

  /**
   * @param whose names it in errors
   * @throws {TypeError} an option is unknown, or a number makes no sense
   */
  constructor(whose: string, options: OutlierDetectionOptions) {
    refuseUnknown(whose, options, CHECKS);
    const number = (name: keyof OutlierDetectionOptions, byDefault: number, least: number) => {
      const given = options[name] ?? byDefault;
      if (given >= least && given < Number.POSITIVE_INFINITY) return given;
      throw new TypeError(`${whose}: ${name}: expected a number from ${least} on, got ${given}`);
    };
    this.#bounds = {
      failures: number('consecutiveFailures', 5, 0),
      errorStatuses: number('consecutive5xx', 0, 0),
    };
    const baseMs = number('baseEjectionMs', 30_000, 1);
    this.#times = { baseNs: baseMs * 1e6, maxNs: number('maxEjectionMs', 300_000, baseMs) * 1e6 };
    this.#maxShare = number('maxEjectionPercent', 10, 0) / 100;
  }

  /** Before that, nobody is noticed. */
  use(table: OutlierTable): void {
    this.#table = table;
  }

  /** The head of a response has come. */
  answered(peer: Suspect, status: number): void {
    if (this.#bounds.errorStatuses === 0) return;
    if (status >= 500) this.#more(peer, 'errorStatuses', 'responses with a status of 5xx');
    else this.#table?.ejections.endStreak(peer.row, 'errorStatuses');
  }

  /** A response is complete, whatever it says. */
  completed(peer: Suspect): void {
    if (this.#bounds.failures > 0) this.#table?.ejections.endStreak(peer.row, 'failures');
  }

  failed(peer: Suspect, error: ProxyError): void {
    if (this.#bounds.failures === 0 || !isPeersFault(error)) return;
    this.#more(peer, 'failures', `failed requests, the last one with ${error.code}`);
  }

  #more(peer: Suspect, streak: Streak, what: string): void {
    if (this.#table === undefined) return;
    const bound = this.#bounds[streak];
    if (!this.#table.ejections.lengthen(peer.row, streak, bound)) return;
    this.#eject(peer, `${bound} ${what}`, this.#table);
  }

  #eject(suspect: Suspect, reason: string, table: OutlierTable): void {
    const { ejections, clock, onEjected } = table;
    const nowNs = clock();
    // Another process may have been a moment earlier.
    if (ejections.isEjected(suspect.row, nowNs)) return;
    const peers = table.peers();
    const ejected = peers.filter(({ row }) => ejections.isEjected(row, nowNs)).length;
    if (ejected >= Math.max(1, Math.floor(peers.length * this.#maxShare))) return;
    // A peer that fails is still better than none.
    if (!peers.some((each) => each.row !== suspect.row && table.mayServe(each))) return;
    const durationNs = ejections.eject(suspect.row, this.#times, nowNs);
    const { address, row } = suspect;
    onEjected({ address, row, reason, durationMs: durationNs / 1e6 });
  }
}

/** A pooled connection that the peer has closed is an accident of timing. */
function isPeersFault({ code, facts }: ProxyError): boolean {
  return facts.side === 'upstream' && code !== 'upstream/idle-connection-closed';
}

/** A peer of a balancer: a candidate for algorithms, and what counts the requests that go to it. */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import { ownPeerLoad, type PeerLoad } from '../../shared/memory/peer-load.ts';
import { NO_ROW, type PeerTable } from '../../shared/memory/peer-table.ts';
import { monotonicNs, type Clock } from '../../shared/time/clock.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { OutlierDetection, Suspect } from './outlier-detection.ts';
import type { PeerAttempt, PeerObserver } from '../upstream/peer-observer.ts';
import type { RequestGate } from './request-gate.ts';
import type { Candidate } from './selection.ts';

export interface BalancedPeerParts {
  readonly peer: HttpPeer;
  readonly weight: number;
  readonly priority: number;
  /** Somebody wants to know how long responses take. */
  readonly isTimed: boolean;
  /** `undefined`: nobody minds if it fails. */
  readonly outliers: OutlierDetection | undefined;
  readonly gate: RequestGate | undefined;
}

export class BalancedPeer implements Candidate, PeerObserver {
  readonly peer: HttpPeer;
  readonly address: string;
  readonly weight: number;
  readonly priority: number;
  /** Its row in the peer table, once there is one. */
  row = NO_ROW;
  readonly gate: RequestGate | undefined;
  readonly #isTimed: boolean;
  readonly #outliers: OutlierDetection | undefined;
  #seat: Seat | undefined;

  constructor({ peer, weight, priority, isTimed, outliers, gate }: BalancedPeerParts) {
    this.peer = peer;
    this.address = peer.address;
    this.weight = weight;
    this.priority = priority;
    this.#isTimed = isTimed;
    this.#outliers = outliers;
    this.gate = gate;
    peer.observer = this;
  }

  /** From now on it counts in the table. */
  sit(row: number, { load }: PeerTable, clock: Clock): void {
    this.row = row;
    const { address } = this;
    this.#seat = { row, address, load, clock, isTimed: this.#isTimed, outliers: this.#outliers };
  }

  /**
   * The peer has gone, and its row may be another's: what is under way still, how slow its
   * last responses are, or that they never come, says nothing about that one.
   */
  leave(): void {
    const seat = this.#seat;
    if (seat === undefined) return;
    seat.isTimed = false;
    seat.outliers = undefined;
    seat.load.vacate(seat.row);
    this.#seat = undefined;
  }

  get inFlight(): number {
    return this.#seat?.load.inFlight(this.#seat.row) ?? 0;
  }

  get latencyUs(): number {
    return this.#seat?.load.latencyUs(this.#seat.row, this.#seat.clock()) ?? 0;
  }

  /**
   * Counted in this process alone while there is no row: else a peer that came when
   * the table was full would look idle to everybody, and get everything.
   */
  attempt(): PeerAttempt {
    this.#seat ??= {
      row: 0,
      address: this.address,
      load: ownPeerLoad(),
      clock: monotonicNs,
      isTimed: this.#isTimed,
      outliers: undefined,
    };
    return new Attempt(this.#seat, this.gate);
  }
}

/** Where a peer counts. */
interface Seat extends Suspect {
  readonly load: PeerLoad;
  readonly clock: Clock;
  /** Until the peer leaves. */
  isTimed: boolean;
  /** Until the peer leaves; nobody minds if one without a row fails. */
  outliers: OutlierDetection | undefined;
}

/** Time to the head of the response: how long a body takes is up to its length and to the client. */
class Attempt implements PeerAttempt {
  readonly #seat: Seat;
  readonly #gate: RequestGate | undefined;
  readonly #beganNs: number;
  readonly #tenant: number;
  #phase: 'asked' | 'responded' | 'ended' = 'asked';

  constructor(seat: Seat, gate: RequestGate | undefined) {
    this.#seat = seat;
    this.#gate = gate;
    this.#beganNs = seat.isTimed ? seat.clock() : 0;
    this.#tenant = seat.load.tenant(seat.row);
    seat.load.begin(seat.row);
  }

  responded(status: number): void {
    if (this.#phase !== 'asked') return;
    this.#phase = 'responded';
    this.#seat.outliers?.answered(this.#seat, status);
    const { isTimed, load, row, clock } = this.#seat;
    if (!isTimed) return;
    const nowNs = clock();
    load.took(row, (nowNs - this.#beganNs) / 1_000, nowNs);
  }

  ended(error?: ProxyError): void {
    const { isTimed, load, row, clock, outliers } = this.#seat;
    if (this.#phase === 'ended') return;
    const isAnswered = this.#phase === 'responded';
    this.#phase = 'ended';
    if (load.tenant(row) === this.#tenant) load.end(row);
    this.#gate?.leave();
    if (error !== undefined) outliers?.failed(this.#seat, error);
    else if (isAnswered) outliers?.completed(this.#seat);
    if (!isTimed || isAnswered) return;
    // A peer that refuses at once is not fast; one that nobody has an answer of is as slow as that.
    const nowNs = clock();
    load.tookAtLeast(row, (nowNs - this.#beganNs) / 1_000, nowNs);
  }
}

/**
 * Probes the peers of every balancer that has a health check, and writes the
 * verdicts where all workers of the host read them. One worker does this for
 * all, as a duty given by the supervisor.
 *
 * Each peer is probed at once, and then every interval. Only so many probes run
 * at the same time; the others wait for their turn, which upstreams take one
 * after the other, so that one with a thousand dead peers does not hold up those
 * of its neighbours.
 */
import type { Log } from '../../shared/log/log.ts';
import type { PeerTable } from '../../shared/memory/peer-table.ts';
import type { Deadlines } from '../../shared/time/deadlines.ts';
import type { Time } from '../../shared/time/time.ts';
import type { BalancedPeer } from '../balance/balanced-peer.ts';
import { judge, type HealthCheck, type Standing } from '../balance/health-check.ts';
import type { LoadBalancer } from '../balance/load-balancer.ts';
import type { Dial } from '../upstream/dial.ts';
import { probeFor, type Probe } from './probe.ts';
import { Turns } from './turns.ts';

export interface ProberOptions {
  readonly balancers: readonly LoadBalancer[];
  readonly table: PeerTable;
  readonly time: Time;
  readonly deadlines: Deadlines;
  readonly dial: Dial;
  readonly log: Log;
}

/** Sockets of one process that is also to serve; at a second each, that is 64 peers a second that say nothing. */
const PROBES_AT_ONCE = 64;

/** Begins to probe. @returns stops it; a probe under way ends without a verdict */
export function startProber(options: ProberOptions): () => void {
  const turns = new Turns(PROBES_AT_ONCE);
  const followed = options.balancers.flatMap((balancer) => {
    const { healthCheck } = balancer;
    return healthCheck === undefined ? [] : [follow(balancer, healthCheck, turns, options)];
  });
  return () => {
    turns.end();
    for (const stop of followed) stop();
  };
}

/** Its peers as they come and go. @returns stops it */
function follow(
  balancer: LoadBalancer,
  check: HealthCheck,
  turns: Turns,
  options: ProberOptions,
): () => void {
  const watches = new Map<BalancedPeer, PeerWatch>();
  /** Addresses, by their rows. */
  const holders = new Map<number, string>();
  let isFollowing = false;
  const leave = (gone: (balanced: BalancedPeer) => boolean) => {
    for (const [balanced, watch] of watches) {
      if (!gone(balanced)) continue;
      watch.end();
      watches.delete(balanced);
    }
  };
  const sync = () => {
    const peers = new Set(balancer.peers);
    leave((balanced) => !peers.has(balanced));
    for (const balanced of peers) {
      if (watches.has(balanced)) continue;
      const { row, address } = balanced;
      // The verdict in it is about one that has gone.
      if (isFollowing && holders.get(row) !== address) options.table.forgetVerdict(row);
      holders.set(row, address);
      const watch = new PeerWatch({ balancer, balanced, check }, turns, options);
      watches.set(balanced, watch);
      watch.begin();
    }
  };
  sync();
  isFollowing = true;
  const stopListening = balancer.onUpdate(sync);
  return () => {
    stopListening();
    leave(() => true);
  };
}

interface Watched {
  readonly balancer: LoadBalancer;
  readonly balanced: BalancedPeer;
  readonly check: HealthCheck;
}

/** Looks at one peer again and again. */
class PeerWatch {
  readonly #watched: Watched;
  readonly #turns: Turns;
  readonly #options: ProberOptions;
  readonly #probe: Probe;
  /** Verdicts outlive the worker that gave them: a new prober goes on from there. */
  #standing: Standing;
  /** Takes the wish for a turn back, if it has not come. */
  #takeBack: (() => void) | undefined;
  /** Ends what is waited for: an answer, or the time of the next probe. */
  #cancel: (() => void) | undefined;
  #ended = false;

  constructor(watched: Watched, turns: Turns, options: ProberOptions) {
    const { balanced, check } = watched;
    this.#watched = watched;
    this.#turns = turns;
    this.#options = options;
    this.#probe = probeFor(balanced.peer, check, options);
    this.#standing = { verdict: options.table.verdict(balanced.row), contrary: 0 };
  }

  begin(): void {
    const { balancer } = this.#watched;
    this.#takeBack = this.#turns.enter(balancer.name, (leave) => this.#look(leave));
  }

  end(): void {
    this.#ended = true;
    this.#takeBack?.();
    this.#cancel?.();
    this.#probe.close();
  }

  #look(leave: () => void): void {
    const { time } = this.#options;
    const { timeoutMs } = this.#watched.check;
    const begunAt = time.now();
    const finish = (reason: string | undefined) => {
      cancelTimeout();
      if (this.#ended) return;
      this.#heard(reason);
      const { healthCheckFrequencyMs } = this.#watched.balancer;
      const restMs = jittered(healthCheckFrequencyMs) - (time.now() - begunAt);
      this.#cancel = time.after(Math.max(0, restMs), () => this.begin());
      leave();
    };
    const cancelTimeout = time.after(timeoutMs, () => {
      this.#probe.stop();
      finish(`no answer within ${timeoutMs} ms`);
    });
    this.#cancel = () => {
      cancelTimeout();
      leave();
    };
    this.#probe.begin(finish);
  }

  #heard(reason: string | undefined): void {
    const { table, time, log } = this.#options;
    const { balancer, balanced, check } = this.#watched;
    const before = this.#standing;
    const after = judge(before, reason === undefined, check);
    this.#standing = after;
    if (after.verdict !== 'unknown') table.setVerdict(balanced.row, after.verdict, time.clock());
    if (after.verdict === before.verdict) return;
    const fields = { upstream: balancer.name, peer: balanced.address, verdict: after.verdict };
    if (after.verdict === 'ill') log.warn({ ...fields, reason }, 'peer became ill');
    else log.info(fields, 'peer became healthy');
  }
}

/** Up to 10 % sooner or later, so that many hosts do not probe a peer at the same instant. */
function jittered(intervalMs: number): number {
  return intervalMs * (0.9 + Math.random() * 0.2);
}

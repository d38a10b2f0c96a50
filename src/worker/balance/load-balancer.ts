/**
 * Chooses a peer for each request among those that may be used. Health is not
 * decided here: verdicts are read from the host's peer table, which one worker
 * fills for all (`health/prober.ts`).
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { PeerTable } from '../../shared/memory/peer-table.ts';
import { HttpPeer, type PeerOptions } from '../upstream/peer.ts';
import type { TcpHealthCheck } from './health-check.ts';
import { roundRobin, type Select, type Selection } from './selection.ts';

export interface PeerSpec {
  /** `host:port`, `[ipv6]:port` or `unix:/path`. */
  readonly address: string;
  /** Share of the traffic; default 1, and 0 takes no new traffic. */
  readonly weight?: number;
}

export interface LoadBalancerOptions {
  /** Names the peers' rows in shared memory: workers and generations agree by it. Unique in a program. */
  readonly name: string;
  /** Default `roundRobin()`. */
  readonly selection?: Selection;
  /** Without one, every peer counts as healthy. */
  readonly healthCheck?: TcpHealthCheck;
  /** Between two probes of a peer. Default 5,000 ms. */
  readonly healthCheckFrequencyMs?: number;
  /** For the connections to the peers. */
  readonly peerOptions?: PeerOptions;
}

export interface BalancedPeer {
  readonly peer: HttpPeer;
  readonly weight: number;
  /** Its row in the peer table, once there is one. */
  row: number;
}

/** Balancers of this process, by name: the worker gives them their table, and the prober its work. */
const balancers = new Map<string, LoadBalancer>();

export function allBalancers(): readonly LoadBalancer[] {
  return [...balancers.values()];
}

/** Its name may be used again. */
export function forgetBalancer({ name }: LoadBalancer): void {
  balancers.delete(name);
}

export class LoadBalancer {
  readonly name: string;
  readonly healthCheck: TcpHealthCheck | undefined;
  readonly healthCheckFrequencyMs: number;
  readonly peers: readonly BalancedPeer[];
  readonly #select: Select;
  /** Those that take new traffic. */
  readonly #weighted: readonly BalancedPeer[];
  #table: PeerTable | undefined;

  /**
   * Building one starts nothing and opens nothing.
   *
   * @throws {Error} another balancer has that name
   * @throws {TypeError} an address is none, or there are no peers
   */
  constructor(peers: readonly (string | PeerSpec)[], options: LoadBalancerOptions) {
    if (balancers.has(options.name)) {
      throw new Error(
        `a LoadBalancer named "${options.name}" exists already; each needs a name of its own`,
      );
    }
    if (peers.length === 0)
      throw new TypeError(`LoadBalancer "${options.name}": expected at least one peer`);
    this.name = options.name;
    this.healthCheck = options.healthCheck;
    this.healthCheckFrequencyMs = options.healthCheckFrequencyMs ?? 5_000;
    this.#select = (options.selection ?? roundRobin())();
    this.peers = peers.map((given) => {
      const { address, weight = 1 } = typeof given === 'string' ? { address: given } : given;
      const peer = new HttpPeer(address, { ...options.peerOptions, upstream: options.name });
      return { peer, weight, row: -1 };
    });
    this.#weighted = this.peers.filter(({ weight }) => weight > 0);
    balancers.set(this.name, this);
  }

  /** Gives the balancer its rows; before that every peer counts as healthy. */
  useTable(table: PeerTable): void {
    for (const balanced of this.peers) balanced.row = table.row(this.name, balanced.peer.address);
    this.#table = table;
  }

  /** @throws {ProxyError} `upstream/none-healthy`: no peer may be used */
  select(): HttpPeer {
    const usable = this.#healthy();
    if (usable.length > 0) return this.#select(usable).peer;
    throw new ProxyError(
      'upstream/none-healthy',
      `none of the ${this.peers.length} peers of ${this.name} may be used`,
    );
  }

  /** A healthy peer that `accept` takes; `undefined` if there is none. */
  selectWith(accept: (peer: HttpPeer) => boolean): HttpPeer | undefined {
    const usable = this.#healthy().filter(({ peer }) => accept(peer));
    return usable.length === 0 ? undefined : this.#select(usable).peer;
  }

  /** Usually all of them: then no list is made. */
  #healthy(): readonly BalancedPeer[] {
    const weighted = this.#weighted;
    for (const balanced of weighted) {
      if (!this.isHealthy(balanced)) return weighted.filter((each) => this.isHealthy(each));
    }
    return weighted;
  }

  /** A peer nobody has looked at yet is used: refusing it would make every start an outage. */
  isHealthy(balanced: BalancedPeer): boolean {
    return this.#table === undefined || this.#table.verdict(balanced.row) !== 'ill';
  }
}

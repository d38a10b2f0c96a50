/**
 * Chooses a peer for each request among those that may be used. Health is not
 * decided here: verdicts are read from the host's peer table, which one worker
 * fills for all (`health/prober.ts`).
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import { slotName } from '../../shared/memory/discovered-set.ts';
import { NO_ROW, type PeerTable } from '../../shared/memory/peer-table.ts';
import { monotonicNs, type Clock } from '../../shared/time/clock.ts';
import { machineTime, type Time } from '../../shared/time/time.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { HttpPeer, type PeerOptions } from '../upstream/peer.ts';
import { BalancedPeer } from './balanced-peer.ts';
import type { HealthCheck } from './health-check.ts';
import {
  OutlierDetection,
  type Ejection,
  type OutlierDetectionOptions,
} from './outlier-detection.ts';
import { RequestGate, type CircuitBreakerOptions } from './request-gate.ts';
import { roundRobin } from './round-robin.ts';
import type { Picker, Selection } from './selection.ts';

export interface PeerSpec {
  /** `host:port`, `[ipv6]:port` or `unix:/path`. */
  readonly address: string;
  /** Share of the traffic; default 1, and 0 takes no new traffic. */
  readonly weight?: number;
  /** Peers with a higher number get traffic only while none with a lower one may be used. Default 0. */
  readonly priority?: number;
}

/** One that a discovery has found; without `slot`, its row goes by its address. */
interface FoundSpec extends PeerSpec {
  readonly slot?: number;
}

export interface LoadBalancerOptions {
  /** Names the peers' rows in shared memory: workers and generations agree by it. Unique in a program. */
  readonly name: string;
  /** Default `roundRobin()`. */
  readonly selection?: Selection;
  /** Without one, every peer counts as healthy. */
  readonly healthCheck?: HealthCheck;
  /** Between two probes of a peer. Default 5,000 ms. */
  readonly healthCheckFrequencyMs?: number;
  /** How many requests may be under way to all peers together. Default: any number. */
  readonly circuitBreaker?: CircuitBreakerOptions;
  /** When a peer is left alone because requests to it fail. Default: after 5 failures in a row; `false`: never. */
  readonly outlierDetection?: OutlierDetectionOptions | false;
  /**
   * While fewer than so many percent of the peers of one priority are healthy, verdicts are
   * not believed and all of them are used: more likely the prober is wrong than
   * all of them, and the few that are left would be overrun. Default 0: never.
   */
  readonly panicThresholdPercent?: number;
  /**
   * A peer that was ill gets its share of the traffic back little by little over this
   * time, for its caches and pools to fill. Default 0: at once.
   */
  readonly slowStartMs?: number;
  /** For the connections to the peers. */
  readonly peerOptions?: PeerOptions;
  /** Finds further peers, besides those that are given, of which there may be none then. */
  readonly discovery?: Discovery;
}

const OPTIONS = {
  name: true,
  selection: true,
  healthCheck: true,
  healthCheckFrequencyMs: true,
  outlierDetection: true,
  circuitBreaker: true,
  panicThresholdPercent: true,
  slowStartMs: true,
  peerOptions: true,
  discovery: true,
} as const;

/** Peers of one priority that take new traffic. */
interface Tier {
  readonly peers: readonly BalancedPeer[];
  readonly picker: Picker<BalancedPeer>;
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

/** Of its share, even at the beginning of a slow start: a peer that gets nothing would never warm up. */
const LEAST_SHARE = 0.1;

export interface BalancerHost {
  /** Hears of ejections by this process. */
  readonly onEjected?: (ejection: Ejection) => void;
  readonly time?: Time;
}

export class LoadBalancer {
  readonly name: string;
  readonly healthCheck: HealthCheck | undefined;
  readonly healthCheckFrequencyMs: number;
  readonly discovery: Discovery | undefined;
  readonly #options: LoadBalancerOptions;
  readonly #given: readonly PeerSpec[];
  readonly #listeners = new Set<() => void>();
  readonly #selection: Selection;
  readonly #outliers: OutlierDetection | undefined;
  readonly #gate: RequestGate | undefined;
  readonly #panicShare: number;
  readonly #slowStartNs: number;
  #peers: readonly BalancedPeer[];
  /** The most preferred first. */
  #tiers: readonly Tier[];
  #table: PeerTable | undefined;
  /** Addresses, by the rows that they had last. */
  readonly #holders = new Map<number, string>();
  #clock: Clock = monotonicNs;

  /**
   * Building one starts nothing and opens nothing.
   *
   * @throws {Error} another balancer has that name
   * @throws {TypeError} an address is none, an option unknown, a number makes no sense, or there are neither peers nor a discovery
   */
  constructor(peers: readonly (string | PeerSpec)[], options: LoadBalancerOptions) {
    const { name } = options;
    refuseUnknown(`LoadBalancer "${name}"`, options, OPTIONS);
    if (balancers.has(name)) {
      throw new Error(
        `a LoadBalancer named "${name}" exists already; each needs a name of its own`,
      );
    }
    if (peers.length === 0 && options.discovery === undefined)
      throw new TypeError(`LoadBalancer "${name}": expected at least one peer, or a discovery`);
    this.name = name;
    this.healthCheck = options.healthCheck;
    this.healthCheckFrequencyMs = options.healthCheckFrequencyMs ?? 5_000;
    this.#selection = options.selection ?? roundRobin();
    this.#panicShare = panicShare(options);
    this.#slowStartNs = (options.slowStartMs ?? 0) * 1e6;
    this.discovery = options.discovery;
    const { outlierDetection = {}, circuitBreaker } = options;
    this.#gate = circuitBreaker && new RequestGate(name, circuitBreaker);
    this.#outliers =
      outlierDetection === false
        ? undefined
        : new OutlierDetection(`LoadBalancer "${name}": outlierDetection`, outlierDetection);
    this.#options = options;
    this.#given = peers.map((given) => (typeof given === 'string' ? { address: given } : given));
    this.#peers = this.#given.map((given) => this.#balanced(given));
    this.#tiers = tiersOf(this.#peers, this.#selection);
    balancers.set(name, this);
  }

  get peers(): readonly BalancedPeer[] {
    return this.#peers;
  }

  /**
   * Gives the balancer its rows; before that every peer counts as healthy.
   *
   * @param host what else the machine gives
   */
  useTable(
    table: PeerTable,
    clock: Clock,
    { onEjected = () => {}, time = machineTime }: BalancerHost = {},
  ): void {
    for (const balanced of this.#peers)
      balanced.sit(table.row(this.name, balanced.address), table, clock);
    this.#table = table;
    this.#clock = clock;
    this.#gate?.use(table, time);
    this.#outliers?.use({
      ejections: table.ejections,
      clock,
      peers: () => this.peers.filter(({ weight }) => weight > 0),
      mayServe: ({ row }) => this.#isUsable(table, row),
      onEjected,
    });
  }

  /**
   * From now on there are these, besides the peers that the balancer was made with, which
   * count where an address is in both. Peers that stay keep their connections and what
   * is known of their health; requests to those that go end as they would have.
   *
   * @throws {TypeError} one is no peer; nothing has changed
   */
  update(found: readonly FoundSpec[]): void {
    const before = new Map(this.#peers.map((each) => [each.address, each]));
    const specs = new Map<string, FoundSpec>(
      [...found, ...this.#given].map((spec) => [spec.address, spec]),
    );
    const peers = [...specs.values()].map((spec) => this.#updated(before.get(spec.address), spec));
    const tiers = tiersOf(peers, this.#selection);
    for (const [address, gone] of before) if (!specs.has(address)) gone.leave();
    this.#takeRows(peers);
    this.#peers = peers;
    this.#tiers = tiers;
    for (const listener of this.#listeners) listener();
  }

  /** What is known of a row's latency and failures is forgotten when another peer gets it. */
  #takeRows(peers: readonly BalancedPeer[]): void {
    for (const { row, address } of peers) {
      if (row === NO_ROW) continue;
      const holder = this.#holders.get(row);
      // The first one may have had it before this process began.
      if (holder !== undefined && holder !== address) {
        this.#table?.load.forgetLatency(row);
        this.#table?.ejections.forget(row);
      }
      this.#holders.set(row, address);
    }
  }

  /** @returns ends it */
  onUpdate(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #updated(known: BalancedPeer | undefined, spec: FoundSpec): BalancedPeer {
    const { weight = 1, priority = 0 } = spec;
    const row = this.#rowOf(spec);
    if (known?.weight === weight && known.priority === priority && known.row === row) return known;
    const updated = this.#balanced(spec, known?.peer);
    if (this.#table !== undefined && row !== NO_ROW) updated.sit(row, this.#table, this.#clock);
    return updated;
  }

  /** Where the table is full: of a peer of whose health nothing is known. */
  #rowOf({ address, slot }: FoundSpec): number {
    const source = this.discovery?.source ?? '';
    const name = slot === undefined ? address : slotName(source, slot);
    return this.#table?.rowOrNone(this.name, name) ?? NO_ROW;
  }

  /** @param known the same peer with another weight or priority: its connections stay */
  #balanced({ address, weight = 1, priority = 0 }: PeerSpec, known?: HttpPeer): BalancedPeer {
    const { name, peerOptions } = this.#options;
    if (!(weight >= 0 && weight < Infinity)) {
      throw new TypeError(
        `LoadBalancer "${name}": weight of ${address}: expected 0 or more, got ${weight}`,
      );
    }
    const peer = known ?? new HttpPeer(address, { ...peerOptions, upstream: name });
    const isTimed = this.#selection.byLatency === true;
    return new BalancedPeer({
      peer,
      weight,
      priority,
      isTimed,
      outliers: this.#outliers,
      gate: this.#gate,
    });
  }

  /**
   * The next peer.
   *
   * @param key whose request it is, for algorithms that choose by a key
   * @param maxIterations how many times a peer may be looked at; default: until all have been
   * @throws {ProxyError} `upstream/none-healthy`: no peer may be used
   * @throws {TypeError} the algorithm chooses by a key, and there is none
   */
  select(key?: string, maxIterations?: number): HttpPeer {
    const chosen =
      maxIterations === undefined
        ? (this.#choose(this.#mayServe, key) ?? this.#choose(this.#isBetterThanNone, key))
        : this.#choose(atMost(maxIterations, this.#mayServe), key);
    if (chosen !== undefined) return chosen.peer;
    throw new ProxyError(
      'upstream/none-healthy',
      `none of the ${this.#peers.length} peers of ${this.name} may be used`,
    );
  }

  /**
   * The next peer that may be used and that `accept` takes; `undefined` if there is none.
   *
   * @throws {TypeError} the algorithm chooses by a key, and there is none
   */
  selectWith(accept: (peer: HttpPeer) => boolean, key?: string): HttpPeer | undefined {
    return this.#choose((balanced) => this.#mayServe(balanced) && accept(balanced.peer), key)?.peer;
  }

  /**
   * Whether clients that are with a peer may stay: it may be used, and none of a lower
   * priority may. One with weight 0 takes nothing new, but keeps those it has.
   */
  mayKeep(balanced: BalancedPeer): boolean {
    if (!this.#mayServe(balanced)) return false;
    return !this.#tiers.some(
      ({ peers }) => peers[0]!.priority < balanced.priority && peers.some(this.#mayServe),
    );
  }

  /** A peer nobody has looked at yet is used: refusing it would make every start an outage. */
  isHealthy({ row }: BalancedPeer): boolean {
    return this.#table === undefined || this.#isUsable(this.#table, row);
  }

  #isUsable(table: PeerTable, row: number): boolean {
    if (table.verdict(row) === 'ill' || table.isDrained(row)) return false;
    const until = table.ejectedUntil(row);
    // Most peers never were ejected, and to look at the clock takes longer than all the rest.
    return until === 0 || until <= this.#clock();
  }

  #choose(
    accept: (balanced: BalancedPeer) => boolean,
    key: string | undefined,
  ): BalancedPeer | undefined {
    if (key === undefined && this.#selection.byKey) {
      throw new TypeError(
        `LoadBalancer "${this.name}" chooses by ${this.#selection.name}: give select() the key of the request`,
      );
    }
    for (const { picker } of this.#tiers) {
      const chosen = this.#pick(picker, accept, key ?? '');
      if (chosen !== undefined) return chosen;
    }
    return undefined;
  }

  #pick(
    picker: Picker<BalancedPeer>,
    accept: (balanced: BalancedPeer) => boolean,
    key: string,
  ): BalancedPeer | undefined {
    if (this.#slowStartNs === 0) return picker.pick(accept, key);
    const nowNs = this.#clock();
    const eager = picker.pick((each) => accept(each) && !this.#holdsBack(each, nowNs), key);
    return eager ?? picker.pick(accept, key);
  }

  readonly #mayServe = (balanced: BalancedPeer): boolean =>
    this.isHealthy(balanced) || (!this.#isDrained(balanced) && this.#panics(balanced.priority));

  #isDrained({ row }: BalancedPeer): boolean {
    return this.#table?.isDrained(row) === true;
  }

  /** Those that were ejected when others could do their work, which now cannot. */
  readonly #isBetterThanNone = ({ row }: BalancedPeer): boolean =>
    this.#table !== undefined && this.#table.verdict(row) !== 'ill' && !this.#table.isDrained(row);

  /** Asked only about one who is ill, so a set that is well costs nothing. */
  #panics(priority: number): boolean {
    if (this.#panicShare === 0) return false;
    const { peers = [] } = this.#tiers.find(({ peers: [one] }) => one!.priority === priority) ?? {};
    let healthy = 0;
    for (const each of peers) if (this.isHealthy(each)) healthy += 1;
    return healthy < peers.length * this.#panicShare;
  }

  /** One who was ill steps back now and then, and more rarely the longer it has been well. */
  #holdsBack({ row }: BalancedPeer, nowNs: number): boolean {
    const table = this.#table;
    if (table === undefined) return false;
    const wellSince = Math.max(table.recoveredAt(row), table.ejectedUntil(row));
    if (wellSince === 0) return false;
    const share = (nowNs - wellSince) / this.#slowStartNs;
    return share < 1 && Math.random() >= Math.max(share, LEAST_SHARE);
  }
}

function atMost(
  times: number,
  accept: (balanced: BalancedPeer) => boolean,
): (balanced: BalancedPeer) => boolean {
  let left = times;
  return (balanced) => left-- > 0 && accept(balanced);
}

function panicShare({ name, panicThresholdPercent: percent = 0 }: LoadBalancerOptions): number {
  if (percent >= 0 && percent <= 100) return percent / 100;
  throw new TypeError(
    `LoadBalancer "${name}": panicThresholdPercent: expected 0 to 100, got ${percent}`,
  );
}

function tiersOf(peers: readonly BalancedPeer[], selection: Selection): Tier[] {
  const inUse = peers.filter(({ weight }) => weight > 0);
  const priorities = [...new Set(inUse.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.map((priority) => {
    const members = inUse.filter((each) => each.priority === priority);
    return { peers: members, picker: selection.build(members) };
  });
}

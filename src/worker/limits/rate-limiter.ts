/**
 * A rate limit that all workers of the host share: `rate` on average, `burst` at
 * once, per key. Building one opens nothing; the worker gives it its table.
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import { MAX_BURST } from '../../shared/memory/gcra.ts';
import { LimitTable, limitSpec, type LimitSpec } from '../../shared/memory/limit-table.ts';
import type { Segment } from '../../shared/memory/segment.ts';
import { RATE_EXAMPLES, rateOf, type Rate } from '../../shared/text/rate.ts';
import { monotonicNs, type Clock } from '../../shared/time/clock.ts';

export interface RateLimiterOptions {
  /** Names the table: workers and generations agree by it. Unique in a program. */
  readonly name: string;
  /** `'10/s'`, `'600/m'`, `'100/h'`, `'5000/d'`, or the parts. */
  readonly rate: string | Rate;
  /** How many may come at once: a burst of 20 admits exactly 20. */
  readonly burst: number;
  /** Keys that can be told apart at a time; the memory is fixed by it. Default 65,536. */
  readonly maxKeys?: number;
  /** Who counts together. `host`, the default and so far the only one: all processes of this machine. */
  readonly scope?: 'host';
}

export interface Decision {
  readonly allowed: boolean;
  /** How many more would be allowed right now. */
  readonly remaining: number;
  /** 0 if allowed; infinite if it costs more than the burst, since then it never will be. */
  readonly retryAfterMs: number;
  /** Until the whole burst is there again, if nothing more is spent. */
  readonly resetMs: number;
}

/** Limiters of this process, by name. */
const limiters = new Map<string, RateLimiter>();

export function allLimiters(): readonly RateLimiter[] {
  return [...limiters.values()];
}

/** Its name may be used again. */
export function forgetLimiter({ name }: RateLimiter): void {
  limiters.delete(name);
}

/** The segments that the program's limiters need. */
export function limiterSpecs(): LimitSpec[] {
  return allLimiters().map((limiter) => limiter.spec);
}

/** @throws {Error} a limiter's segment is missing */
export function bindLimiters(find: (name: string) => Segment | undefined, clock: Clock): void {
  for (const limiter of limiters.values()) {
    const segment = find(limiter.spec.name);
    if (segment === undefined)
      throw new Error(
        `the supervisor has no limiter "${limiter.spec.name}": build limiters in every process`,
      );
    limiter.bind(segment, clock);
  }
}

const OPTIONS = { name: true, rate: true, burst: true, maxKeys: true, scope: true } as const;

export class RateLimiter {
  readonly name: string;
  readonly spec: LimitSpec;
  #table: LimitTable | undefined;
  #clock: Clock = monotonicNs;

  /**
   * @throws {TypeError} an option is unknown, the rate none, or the burst not between 1 and 1,000,000
   * @throws {Error} another limiter has that name
   */
  constructor(options: RateLimiterOptions) {
    const { name, rate, burst, maxKeys = 65_536, scope = 'host' } = options;
    refuseUnknown(`RateLimiter "${name}"`, options, OPTIONS);
    if (limiters.has(name))
      throw new Error(`a RateLimiter named "${name}" exists already; each needs a name of its own`);
    if (!Number.isInteger(burst) || burst < 1 || burst > MAX_BURST)
      throw new TypeError(`burst: expected a whole number from 1 to ${MAX_BURST}, got ${burst}`);
    if (!Number.isInteger(maxKeys) || maxKeys < 1 || maxKeys > MAX_KEYS)
      throw new TypeError(`maxKeys: expected a whole number from 1 to ${MAX_KEYS}, got ${maxKeys}`);
    if (scope !== 'host')
      throw new TypeError(`scope: expected "host", got ${JSON.stringify(scope)}`);
    this.name = name;
    const policy = { ...(typeof rate === 'string' ? parseRate(rate) : checkedRate(rate)), burst };
    this.spec = limitSpec(name, maxKeys, policy);
    limiters.set(name, this);
  }

  /** @param clock the same for all that share the segment */
  bind(segment: Segment, clock: Clock): void {
    this.#clock = clock;
    this.#table = new LimitTable(segment, this.spec.policy);
  }

  /**
   * Spends `cost` of the key's allowance, if it has that much.
   *
   * @param cost 0 or more, in requests; 0 spends nothing and tells how things stand
   */
  check(key: string, cost = 1): Decision {
    return this.#take(key, cost, this.#clock());
  }

  /**
   * Spends from several limits, all or nothing: what the first ones allowed is given
   * back when a later one refuses.
   *
   * For the moment in between, other processes see it as spent; so they can be
   * refused then, but no limit is ever exceeded. Put the limit first that
   * refuses most.
   *
   * @returns a decision for each, up to the first that refused
   */
  static checkAll(charges: readonly Charge[]): Decision[] {
    const decisions: Decision[] = [];
    const takenAt: number[] = [];
    for (const { limiter, key, cost = 1 } of charges) {
      const now = limiter.#clock();
      const decision = limiter.#take(key, cost, now);
      decisions.push(decision);
      if (!decision.allowed) {
        for (const [nth, taken] of takenAt.entries())
          charges[nth]!.limiter.#giveBack(charges[nth]!, taken);
        break;
      }
      takenAt.push(now);
    }
    return decisions;
  }

  #take(key: string, cost: number, nowNs: number): Decision {
    if (!(cost >= 0 && cost < Number.POSITIVE_INFINITY))
      throw new TypeError(`cost: expected 0 or more requests, got ${cost}`);
    const table = this.#bound();
    const allowed = table.take(key, nowNs, cost);
    return {
      allowed,
      remaining: table.remaining,
      retryAfterMs: table.waitMs,
      resetMs: table.resetMs,
    };
  }

  #giveBack({ key, cost = 1 }: Charge, takenNs: number): void {
    this.#bound().giveBack(key, cost, takenNs, this.#clock);
  }

  #bound(): LimitTable {
    if (this.#table === undefined)
      throw new Error(`limiter "${this.spec.name}" was used before the server ran`);
    return this.#table;
  }
}

/** What one request costs in one limit. */
export interface Charge {
  readonly limiter: RateLimiter;
  readonly key: string;
  /** In requests. Default 1. */
  readonly cost?: number;
}

/** More would not fit into the memory of a machine's limits, 28 bytes each. */
const MAX_KEYS = 2 ** 24;

function checkedRate({ count, perMs }: Rate): Rate {
  if (count > 0 && perMs > 0 && Number.isFinite(count / perMs)) return { count, perMs };
  throw new TypeError(`rate: expected a count and perMs above 0, got ${count} and ${perMs}`);
}

function parseRate(text: string): Rate {
  const rate = rateOf(text);
  if (rate !== undefined) return rate;
  throw new TypeError(`rate: expected one such as ${RATE_EXAMPLES}, got ${JSON.stringify(text)}`);
}

/**
 * A rate limit that all workers of the host share: `rate` on average, `burst` at
 * once, per key. Building one opens nothing; the worker gives it its table.
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import { MAX_BURST } from '../../shared/memory/gcra.ts';
import { LimitTable, limitSpec, type LimitSpec } from '../../shared/memory/limit-table.ts';
import type { Segment } from '../../shared/memory/segment.ts';
import { monotonicNs, type Clock } from '../../shared/time/clock.ts';

export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

export interface RateLimiterOptions {
  /** Names the table: workers and generations agree by it. Unique in a program. */
  readonly name: string;
  /** `'10/s'`, `'600/m'`, `'100/h'`, or the parts. */
  readonly rate: string | Rate;
  /** How many may come at once: a burst of 20 admits exactly 20. */
  readonly burst: number;
  /** Keys that can be told apart at a time; the memory is fixed by it. Default 65,536. */
  readonly maxKeys?: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** How many more would be allowed right now. */
  readonly remaining: number;
  /** 0 if allowed. */
  readonly retryAfterMs: number;
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

const OPTIONS = { name: true, rate: true, burst: true, maxKeys: true } as const;

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
    const { name, rate, burst, maxKeys = 65_536 } = options;
    refuseUnknown(`RateLimiter "${name}"`, options, OPTIONS);
    if (limiters.has(name))
      throw new Error(`a RateLimiter named "${name}" exists already; each needs a name of its own`);
    if (!Number.isInteger(burst) || burst < 1 || burst > MAX_BURST)
      throw new TypeError(`burst: expected a whole number from 1 to ${MAX_BURST}, got ${burst}`);
    this.name = name;
    const policy = { ...(typeof rate === 'string' ? parseRate(rate) : checkedRate(rate)), burst };
    this.spec = limitSpec(`limit:${name}`, maxKeys, policy);
    limiters.set(name, this);
  }

  /** @param clock the same for all that share the segment */
  bind(segment: Segment, clock: Clock): void {
    this.#clock = clock;
    this.#table = new LimitTable(segment, this.spec.policy);
  }

  /** Spends `cost` of the key's allowance, if it has that much. */
  check(key: string, cost = 1): Decision {
    const table = this.#table;
    if (table === undefined)
      throw new Error(`limiter "${this.spec.name}" was used before the server ran`);
    const allowed = table.take(key, this.#clock(), cost);
    return { allowed, remaining: table.remaining, retryAfterMs: table.waitMs };
  }
}

function checkedRate({ count, perMs }: Rate): Rate {
  if (count > 0 && perMs > 0 && Number.isFinite(count / perMs)) return { count, perMs };
  throw new TypeError(`rate: expected a count and perMs above 0, got ${count} and ${perMs}`);
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function parseRate(text: string): Rate {
  const [, count, unit = ''] = /^(\d+)\/([smh])$/.exec(text) ?? [];
  const perMs = UNITS[unit];
  if (count === undefined || perMs === undefined || Number(count) < 1) {
    throw new TypeError(
      `rate: expected a count per s, m or h, such as "10/s", got ${JSON.stringify(text)}`,
    );
  }
  return { count: Number(count), perMs };
}

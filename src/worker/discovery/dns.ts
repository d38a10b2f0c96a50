/**
 * The addresses of a name, of both families, asked again when their time to live
 * is over.
 *
 * An answer without any address keeps the last set: far more often a name server
 * has lost its data than all peers have gone.
 */
import type { Resolver } from 'node:dns/promises';
import { refuseUnknown } from '../../shared/config/options.ts';
import { retryPauseMs } from '../../shared/time/retry-pause.ts';
import type { Discovery, DiscoveryWatcher } from './discovery.ts';
import {
  askDns,
  checkDnsServers,
  saysNothingThere,
  type DnsServerOptions,
} from './dns-resolver.ts';

export interface DnsOptions extends DnsServerOptions {
  /** Of any peer, such as `api.internal`: all of it, no search domain is added. */
  readonly name: string;
  readonly port: number;
  /** Default `both`. */
  readonly family?: 'both' | 'ipv4' | 'ipv6' | undefined;
  /** A shorter time to live counts as this one. Default 1,000 ms. */
  readonly minTtlMs?: number | undefined;
  /** A longer time to live counts as this one. Default 300,000 ms. */
  readonly maxTtlMs?: number | undefined;
}

const OPTIONS = {
  name: true,
  port: true,
  family: true,
  minTtlMs: true,
  maxTtlMs: true,
  servers: true,
  timeoutMs: true,
  tries: true,
} as const;

export function checkDnsName(caller: string, name: string): void {
  if (typeof name === 'string' && /^[A-Za-z0-9_.-]{1,253}$/.test(name)) return;
  throw new TypeError(`${caller}: name: expected a host name, got ${JSON.stringify(name)}`);
}

/** @throws {TypeError} an option is not known or makes no sense */
export function dnsPeers(options: DnsOptions): Discovery {
  const { name, port, family = 'both', minTtlMs = 1_000, maxTtlMs = 300_000 } = options;
  refuseUnknown('dnsPeers', options, OPTIONS);
  checkDnsName('dnsPeers', name);
  checkDnsServers('dnsPeers', options);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new TypeError(`dnsPeers: port: expected 1 to 65535, got ${port}`);
  if (!(minTtlMs >= 1 && maxTtlMs >= minTtlMs && Number.isFinite(maxTtlMs))) {
    throw new TypeError(
      `dnsPeers: expected 1 <= minTtlMs <= maxTtlMs, got ${minTtlMs} and ${maxTtlMs}`,
    );
  }
  const families = FAMILIES[family];
  if (families === undefined)
    throw new TypeError(`dnsPeers: family: expected both, ipv4 or ipv6, got ${family}`);
  return {
    source: `dns ${name}:${port} ${family}`,
    watch: (watcher) => new DnsWatch(options, families, watcher).run(minTtlMs, maxTtlMs),
  };
}

type Family = 4 | 6;

const FAMILIES: Readonly<Record<string, readonly Family[]>> = {
  both: [4, 6],
  ipv4: [4],
  ipv6: [6],
};

interface Answer {
  readonly addresses: readonly string[];
  /** `Infinity` where there is no address to live. */
  readonly ttlMs: number;
}

interface Outcome extends Answer {
  /** Why one of the families is not known. */
  readonly failure: Error | undefined;
  /** The same, if it has addresses in use. */
  readonly doubt: Error | undefined;
}

class DnsWatch {
  readonly #options: DnsOptions;
  readonly #families: readonly Family[];
  readonly #watcher: DiscoveryWatcher;

  constructor(options: DnsOptions, families: readonly Family[], watcher: DiscoveryWatcher) {
    this.#options = options;
    this.#families = families;
    this.#watcher = watcher;
  }

  async run(minTtlMs: number, maxTtlMs: number): Promise<void> {
    const { signal } = this.#watcher;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { addresses, ttlMs, failure, doubt } = await this.#ask();
        if (signal.aborted) return;
        this.#watcher.found(
          addresses.map((address) => ({ address })),
          doubt,
        );
        failures = failure === undefined ? 0 : failures + 1;
        const validMs = Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs);
        await this.#watcher.pause(
          failures === 0 ? validMs : Math.min(validMs, retryPauseMs(failures)),
        );
      } catch (thrown) {
        if (signal.aborted) return;
        failures += 1;
        this.#watcher.failed(thrown as Error);
        await this.#watcher.pause(retryPauseMs(failures));
      }
    }
  }

  /**
   * Servers that answer for one family and not for the other are not rare: what is in
   * use of that one stays, for as long as the other has an address.
   *
   * @throws {Error} no server has answered, or there is no address
   */
  async #ask(): Promise<Outcome> {
    const { name } = this.#options;
    const answers = await askDns(this.#options, this.#watcher.signal, (resolver) =>
      Promise.allSettled(this.#families.map((family) => addressesOf(resolver, name, family))),
    );
    const given = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failed = answers.find((each) => each.status === 'rejected');
    const failure = failed?.reason as Error | undefined;
    if (given.every(({ addresses }) => addresses.length === 0))
      throw failure ?? new Error(`${name} has no address`);
    const kept = answers.flatMap(({ status }, at) =>
      status === 'rejected' ? this.#inUse(this.#families[at]!) : [],
    );
    const found = given.flatMap(({ addresses }) => addresses.map((each) => this.#withPort(each)));
    return {
      addresses: [...found, ...kept],
      ttlMs: Math.min(...given.map(({ ttlMs }) => ttlMs)),
      failure,
      doubt: kept.length > 0 ? failure : undefined,
    };
  }

  #withPort(address: string): string {
    const host = address.includes(':') ? `[${address}]` : address;
    return `${host}:${this.#options.port}`;
  }

  #inUse(family: Family): string[] {
    const isMeant = (address: string) => address.startsWith('[') === (family === 6);
    return this.#watcher.inUse.map(({ address }) => address).filter(isMeant);
  }
}

async function addressesOf(resolver: Resolver, name: string, family: Family): Promise<Answer> {
  try {
    const records =
      family === 4
        ? await resolver.resolve4(name, { ttl: true })
        : await resolver.resolve6(name, { ttl: true });
    const ttlMs = Math.min(...records.map(({ ttl }) => ttl * 1_000));
    return { addresses: records.map(({ address }) => address), ttlMs };
  } catch (thrown) {
    if (!saysNothingThere(thrown)) throw thrown;
    return { addresses: [], ttlMs: Number.POSITIVE_INFINITY };
  }
}

/**
 * The targets of a service in DNS (RFC 2782), with their ports, priorities and
 * weights. Targets are names, which are looked up when a connection is made.
 *
 * As with addresses, an answer without any target keeps the last set.
 */
import type { SrvRecord } from 'node:dns';
import { refuseNoTime, refuseUnknown } from '../../shared/config/options.ts';
import { retryPauseMs } from '../../shared/time/retry-pause.ts';
import type { Discovery, DiscoveryWatcher, FoundPeer } from './discovery.ts';
import { checkDnsName } from './dns.ts';
import {
  askDns,
  checkDnsServers,
  saysNothingThere,
  type DnsServerOptions,
} from './dns-resolver.ts';

export interface DnsSrvOptions extends DnsServerOptions {
  /** Such as `_http._tcp.api.internal`. */
  readonly name: string;
  /** Between two questions: Node.js does not tell the time to live of these records. Default 10,000 ms. */
  readonly intervalMs?: number | undefined;
}

const OPTIONS = {
  name: true,
  intervalMs: true,
  servers: true,
  timeoutMs: true,
  tries: true,
} as const;

/** @throws {TypeError} an option is not known or makes no sense */
export function dnsSrvPeers(options: DnsSrvOptions): Discovery {
  const { name, intervalMs = 10_000 } = options;
  refuseUnknown('dnsSrvPeers', options, OPTIONS);
  refuseNoTime('dnsSrvPeers', { intervalMs });
  checkDnsName('dnsSrvPeers', name);
  checkDnsServers('dnsSrvPeers', options);
  return {
    source: `dns_srv ${name}`,
    watch: (watcher) => watch(options, intervalMs, watcher),
  };
}

async function watch(
  options: DnsSrvOptions,
  intervalMs: number,
  watcher: DiscoveryWatcher,
): Promise<void> {
  let failures = 0;
  while (!watcher.signal.aborted) {
    try {
      const records = await askDns(options, watcher.signal, (resolver) =>
        resolver.resolveSrv(options.name),
      );
      if (watcher.signal.aborted) return;
      watcher.found(peersFromSrv(options.name, records));
      failures = 0;
    } catch (thrown) {
      if (watcher.signal.aborted) return;
      failures += 1;
      watcher.failed(saysNothingThere(thrown) ? noTarget(options.name) : (thrown as Error));
    }
    await watcher.pause(failures === 0 ? intervalMs : retryPauseMs(failures));
  }
}

function noTarget(name: string): Error {
  return new Error(`${name} has no target`);
}

/**
 * Priorities keep their order and become 0, 1, 2, so that they stand before peers
 * that are written down as a backup. Weight 0 means hardly any traffic there, and
 * none here: it becomes the least that there is.
 *
 * @throws {Error} there is no target; RFC 2782 writes that as a single dot
 */
export function peersFromSrv(name: string, records: readonly SrvRecord[]): FoundPeer[] {
  const targets = records.filter((record) => record.name !== '' && record.name !== '.');
  if (targets.length === 0) throw noTarget(name);
  const priorities = [...new Set(targets.map(({ priority }) => priority))].sort((a, b) => a - b);
  return targets.map((target) => ({
    address: `${target.name.replace(/\.$/, '')}:${target.port}`,
    weight: Math.max(1, target.weight),
    priority: priorities.indexOf(target.priority),
  }));
}

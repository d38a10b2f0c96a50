/**
 * Questions to name servers, asked over the network by c-ares: not by getaddrinfo,
 * which tells no time to live and takes a thread for each question.
 */
import { Resolver } from 'node:dns/promises';
import { isNameServer } from '../../shared/config/name-server.ts';

export interface DnsServerOptions {
  /** `address` or `address:port`. Default: those of the system, read anew for each question. */
  readonly servers?: readonly string[] | undefined;
  /** For one try of one server. Default 2,000 ms. */
  readonly timeoutMs?: number | undefined;
  /** Of each server. Default 2. */
  readonly tries?: number | undefined;
}

/** @throws {TypeError} a server or a number makes no sense */
export function checkDnsServers(caller: string, options: DnsServerOptions): void {
  const { servers = [], timeoutMs = 1, tries = 1 } = options;
  for (const server of servers) {
    if (isNameServer(server)) continue;
    const got = JSON.stringify(server);
    throw new TypeError(`${caller}: servers: expected "address" or "address:port", got ${got}`);
  }
  if (!Number.isFinite(timeoutMs) || timeoutMs < 1)
    throw new TypeError(`${caller}: timeoutMs: expected 1 or more, got ${timeoutMs}`);
  if (!Number.isInteger(tries) || tries < 1)
    throw new TypeError(`${caller}: tries: expected a whole number from 1 on, got ${tries}`);
}

/** Asks, until `signal` is aborted. */
export async function askDns<T>(
  { servers, timeoutMs = 2_000, tries = 2 }: DnsServerOptions,
  signal: AbortSignal,
  ask: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  const resolver = new Resolver({ timeout: timeoutMs, tries });
  if (servers !== undefined && servers.length > 0) resolver.setServers(servers);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await ask(resolver);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** The server has answered, and says that there is nothing of the kind: the name is not there, or has none. */
export function saysNothingThere(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOTFOUND' || code === 'ENODATA';
}

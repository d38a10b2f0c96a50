/**
 * Who may connect: so many connections in all, and so many per client. A client
 * is an IPv4 address, or the /64 that an IPv6 address is from, since whoever has
 * one address of it usually has them all.
 */
import { isIPv6 } from 'node:net';
import type { Trust } from '../http/trust.ts';

export interface AdmissionLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

/** Connections of all services together: a process has one limit on open files. */
export class ConnectionBudget {
  readonly #max: number;
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isSpent(): boolean {
    return this.#used >= this.#max;
  }

  spend(): void {
    this.#used += 1;
  }

  giveBack(): void {
    this.#used -= 1;
  }
}

export type Refusal = 'full' | 'per-client';

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #budget: ConnectionBudget;
  readonly #trusts: Trust | undefined;
  /** One entry per client that is connected, so never more than connections. */
  readonly #perClient = new Map<string, number>();
  #total = 0;

  /** @param budget what this service shares with the others of the process */
  constructor(limits: AdmissionLimits, budget: ConnectionBudget, trusts: Trust | undefined) {
    this.#limits = limits;
    this.#budget = budget;
    this.#trusts = trusts;
  }

  /** Somebody must make room before the next connection can be had. */
  get isFull(): boolean {
    return this.#total >= this.#limits.maxConnections || this.#budget.isSpent;
  }

  /** @returns why not; `undefined`: counted, until `leave` */
  enter(address: string): Refusal | undefined {
    if (this.isFull) return 'full';
    const client = clientOf(address);
    const count = this.#perClient.get(client) ?? 0;
    // Who may connect to a Unix socket is decided by its mode; all of them look the same to us.
    const isKnown = address !== 'unix:';
    // A trusted proxy stands for many clients; asked last, because it costs the most.
    if (
      isKnown &&
      count >= this.#limits.maxConnectionsPerClient &&
      this.#trusts?.(address) !== true
    )
      return 'per-client';
    this.#perClient.set(client, count + 1);
    this.#total += 1;
    this.#budget.spend();
    return undefined;
  }

  leave(address: string): void {
    const client = clientOf(address);
    const count = this.#perClient.get(client) ?? 0;
    if (count <= 1) this.#perClient.delete(client);
    else this.#perClient.set(client, count - 1);
    this.#total -= 1;
    this.#budget.giveBack();
  }
}

/** @param address numeric, as the system writes it: lower case, no leading zeros, `::` for the longest run */
export function clientOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/**
 * Counts requests whose connection was closed before their answer came.
 *
 * autocannon opens another connection then and does not mention it, so they are
 * found by subtraction: what was sent, less what was answered, failed, or still
 * on its way when the time was up. It also sends on a connection after an answer
 * with `Connection: close`; such a request counts here too.
 */
import type { EventEmitter } from 'node:events';

interface Seen {
  sent: number;
  accounted: number;
}

export class Unanswered {
  readonly #pipelining: number;
  readonly #clients: Seen[] = [];

  /** @param pipelining how many requests each connection may have on their way */
  constructor(pipelining: number) {
    this.#pipelining = pipelining;
  }

  /** @param client of autocannon, before it connects */
  watch(client: EventEmitter): void {
    const seen: Seen = { sent: 0, accounted: 0 };
    this.#clients.push(seen);
    client.on('request', () => (seen.sent += 1));
    client.on('response', () => (seen.accounted += 1));
    client.on('timeout', () => (seen.accounted += 1));
    // It speaks of the connection, with all that was on its way.
    client.on('connError', () => (seen.accounted += this.#pipelining));
  }

  get count(): number {
    return this.#clients.reduce(
      (sum, { sent, accounted }) => sum + Math.max(0, sent - accounted - this.#pipelining),
      0,
    );
  }
}

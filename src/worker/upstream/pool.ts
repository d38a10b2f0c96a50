/**
 * Connections to peers that are kept for the next request. The most recently
 * used one is taken first, so that those a quiet period does not need expire.
 *
 * Two bounds hold: so many per peer, and so many in all; at the second one the
 * connection that has rested longest makes room.
 */
import type { UpstreamConnection } from './http1-connection.ts';

export class Pool {
  readonly #maxIdle: number;
  /** By pool key; in each list the one that has rested longest comes first. */
  readonly #byPeer = new Map<string, UpstreamConnection[]>();
  #size = 0;

  /** @param maxIdle connections in all; 0 keeps none */
  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle;
  }

  get size(): number {
    return this.#size;
  }

  take(poolKey: string): UpstreamConnection | undefined {
    const connection = this.#byPeer.get(poolKey)?.pop();
    if (connection !== undefined) this.#size -= 1;
    return connection;
  }

  /** Keeps the connection, or closes it where a bound says no. */
  put(connection: UpstreamConnection): void {
    const { peer } = connection;
    const ofPeer = this.#listOf(peer.poolKey);
    if (peer.idleTimeoutMs === 0 || ofPeer.length >= peer.maxIdle || this.#maxIdle === 0) {
      return connection.close();
    }
    if (this.#size >= this.#maxIdle) this.#dropOldest();
    ofPeer.push(connection);
    this.#size += 1;
    connection.rest();
  }

  /** It ended while it rested. */
  remove(connection: UpstreamConnection): void {
    const ofPeer = this.#byPeer.get(connection.peer.poolKey);
    const at = ofPeer?.indexOf(connection) ?? -1;
    if (ofPeer === undefined || at < 0) return;
    ofPeer.splice(at, 1);
    this.#size -= 1;
    if (ofPeer.length === 0) this.#byPeer.delete(connection.peer.poolKey);
  }

  close(): void {
    const all = [...this.#byPeer.values()].flat();
    this.#byPeer.clear();
    this.#size = 0;
    for (const connection of all) connection.close();
  }

  #listOf(poolKey: string): UpstreamConnection[] {
    const known = this.#byPeer.get(poolKey);
    if (known !== undefined) return known;
    const list: UpstreamConnection[] = [];
    this.#byPeer.set(poolKey, list);
    return list;
  }

  /** Looks at one connection of each peer, which only a full pool has to do. */
  #dropOldest(): void {
    let oldest: UpstreamConnection | undefined;
    for (const [first] of this.#byPeer.values()) {
      if (first !== undefined && (oldest === undefined || first.restsSince < oldest.restsSince)) {
        oldest = first;
      }
    }
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.close();
  }
}

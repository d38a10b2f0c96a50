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
  readonly #byPeer = new Map<string, UpstreamConnection[]>();
  /** All of them, the one that has rested longest first. */
  readonly #resting = new Set<UpstreamConnection>();

  /** @param maxIdle connections in all; 0 keeps none */
  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle;
  }

  get size(): number {
    return this.#resting.size;
  }

  take(poolKey: string): UpstreamConnection | undefined {
    const connection = this.#byPeer.get(poolKey)?.pop();
    if (connection !== undefined) this.#resting.delete(connection);
    return connection;
  }

  /** Keeps the connection, or closes it where a bound says no. */
  put(connection: UpstreamConnection): void {
    const { peer } = connection;
    const ofPeer = this.#listOf(peer.poolKey);
    if (peer.idleTimeoutMs === 0 || ofPeer.length >= peer.maxIdle || this.#maxIdle === 0) {
      return connection.close();
    }
    if (this.#resting.size >= this.#maxIdle) this.#dropOldest();
    ofPeer.push(connection);
    this.#resting.add(connection);
    connection.rest();
  }

  /** It ended while it rested. */
  remove(connection: UpstreamConnection): void {
    if (!this.#resting.delete(connection)) return;
    const ofPeer = this.#byPeer.get(connection.peer.poolKey);
    const at = ofPeer?.indexOf(connection) ?? -1;
    if (at >= 0) ofPeer?.splice(at, 1);
    if (ofPeer?.length === 0) this.#byPeer.delete(connection.peer.poolKey);
  }

  close(): void {
    for (const connection of this.#resting) connection.close();
    this.#resting.clear();
    this.#byPeer.clear();
  }

  #listOf(poolKey: string): UpstreamConnection[] {
    const known = this.#byPeer.get(poolKey);
    if (known !== undefined) return known;
    const list: UpstreamConnection[] = [];
    this.#byPeer.set(poolKey, list);
    return list;
  }

  #dropOldest(): void {
    const [oldest] = this.#resting;
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.close();
  }
}

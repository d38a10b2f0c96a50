/**
 * Connections to peers that are kept for the next request. The most recently
 * used one is taken first, so that those a quiet period does not need expire.
 *
 * Of a peer that requests are pipelined to, those that are in use are known too,
 * so that further requests can be sent behind the ones under way.
 *
 * Two bounds hold: so many per peer, and so many in all; at the second one the
 * connection that has rested longest makes room.
 */
import type { UpstreamConnection } from './http1-connection.ts';

export class Pool {
  readonly #maxIdle: number;
  /** By pool key; in each list the one that has rested longest comes first. */
  readonly #byPeer = new Map<string, UpstreamConnection[]>();
  /** Those of peers with pipelining that are open, busy or idle, by pool key. */
  readonly #shared = new Map<string, UpstreamConnection[]>();
  #size = 0;

  /** @param maxIdle connections in all; 0 keeps none */
  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle;
  }

  get size(): number {
    return this.#size;
  }

  /** Peers that it knows something of. */
  get peerCount(): number {
    return new Set([...this.#byPeer.keys(), ...this.#shared.keys()]).size;
  }

  /** A new connection that several requests may be under way on. */
  share(connection: UpstreamConnection): void {
    const { poolKey } = connection;
    const known = this.#shared.get(poolKey);
    if (known === undefined) this.#shared.set(poolKey, [connection]);
    else known.push(connection);
  }

  /** One that is in use and has room for another request. The first ones fill up first, so that writes join. */
  takeShared(poolKey: string): UpstreamConnection | undefined {
    const open = this.#shared.get(poolKey);
    if (open === undefined) return undefined;
    for (const connection of open) if (connection.hasRoom) return connection;
    return undefined;
  }

  take(poolKey: string): UpstreamConnection | undefined {
    const connection = this.#byPeer.get(poolKey)?.pop();
    if (connection !== undefined) this.#size -= 1;
    return connection;
  }

  /** Keeps the connection, or closes it where a bound says no. */
  put(connection: UpstreamConnection): void {
    const { peer, poolKey } = connection;
    const resting = this.#byPeer.get(poolKey)?.length ?? 0;
    if (peer.idleTimeoutMs === 0 || resting >= peer.maxIdle || this.#maxIdle === 0) {
      return connection.close();
    }
    if (this.#size >= this.#maxIdle) this.#dropOldest();
    // Not sooner: the one that made room may have been the last one of its list.
    this.#listOf(poolKey).push(connection);
    this.#size += 1;
    connection.rest();
  }

  /** It has ended. */
  remove(connection: UpstreamConnection): void {
    this.#forgetShared(connection);
    this.#forgetIdle(connection);
  }

  #forgetShared(connection: UpstreamConnection): void {
    const open = this.#shared.get(connection.poolKey);
    const at = open?.indexOf(connection) ?? -1;
    if (open === undefined || at < 0) return;
    open.splice(at, 1);
    if (open.length === 0) this.#shared.delete(connection.poolKey);
  }

  #forgetIdle(connection: UpstreamConnection): void {
    const ofPeer = this.#byPeer.get(connection.poolKey);
    if (ofPeer === undefined) return;
    const at = ofPeer.indexOf(connection);
    if (at >= 0) {
      ofPeer.splice(at, 1);
      this.#size -= 1;
    }
    // Not sooner: while a connection of the peer is in use, its list is soon needed again.
    if (ofPeer.length === 0) this.#byPeer.delete(connection.poolKey);
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
    this.#forgetIdle(oldest);
    oldest.close();
  }
}

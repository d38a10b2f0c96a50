/**
 * The connections that are open, by their ports, and which of them went to a
 * worker that is killed on purpose: their loss is the price of the kill.
 */

/** Both ports: the system may use one of ours for connections to two listeners. */
export function pairOf(localPort: number, remotePort: number): string {
  return `${localPort}>${remotePort}`;
}

export interface Doomable {
  doomed: boolean;
}

export class Connections {
  readonly #open = new Map<string, Doomable>();
  /** Of connections that the worker has accepted before we heard that they were made. */
  #announced = new Set<string>();

  add(pair: string, connection: Doomable): void {
    this.#open.set(pair, connection);
    connection.doomed = this.#announced.delete(pair);
  }

  remove(pair: string, connection: Doomable): void {
    if (this.#open.get(pair) === connection) this.#open.delete(pair);
  }

  /** Before the kill: the worker has accepted these. */
  doom(pairs: Iterable<string>): void {
    this.#announced = new Set();
    for (const pair of pairs) {
      const connection = this.#open.get(pair);
      if (connection === undefined) this.#announced.add(pair);
      else connection.doomed = true;
    }
  }

  /** Ports are used again: what was not heard of by now is nobody's. */
  forgetAnnounced(): void {
    this.#announced.clear();
  }
}

/** What a running Sluice says of itself on its admin page. */
import { setTimeout as wait } from 'node:timers/promises';
import { ProveFailure } from './failure.ts';

/** For a process to start, to end, to have its workers again. Above Sluice's own bounds, so that they speak first. */
export const PATIENCE_MS = 120_000;

/** As much of it as the proof needs. */
export interface Status {
  readonly state: string;
  readonly pid: number;
  readonly workers: readonly { readonly state: string; readonly pid: number }[];
  readonly lastReload?: {
    readonly successful: boolean;
    readonly at: number;
    readonly reason?: string;
  };
}

export class StatusPage {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param address `host:port` of the admin page */
  constructor(address: string, token?: string) {
    this.#url = `http://${address}/status`;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async read(): Promise<Status> {
    const answer = await fetch(this.#url, { headers: this.#headers });
    return (await answer.json()) as Status;
  }

  /** Process ids of the workers that take new connections. */
  async workers(): Promise<readonly number[]> {
    const { workers } = await this.read();
    return workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid);
  }

  async replaced(pid: number, among: number): Promise<void> {
    await this.until(`worker ${pid} to be replaced`, ({ workers }) => {
      const ready = workers.filter(({ state }) => state === 'ready');
      return ready.length === among && ready.every((worker) => worker.pid !== pid);
    });
  }

  /**
   * Resolves once it says so; between two processes, nobody may answer for a moment.
   *
   * @throws {ProveFailure} it never does
   */
  async until(what: string, holds: (status: Status) => boolean): Promise<void> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    for (;;) {
      const status = await this.read().catch(() => undefined);
      if (status !== undefined && holds(status)) return;
      if (performance.now() > giveUpAt)
        throw new ProveFailure(
          `waited ${PATIENCE_MS} ms for ${what}; the admin page says: ${JSON.stringify(status)}`,
        );
      await wait(10);
    }
  }
}

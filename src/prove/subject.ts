/** The Sluice that is put to the proof. */
import type { Endpoint } from './wire/connection.ts';

export interface Subject {
  readonly endpoints: readonly Endpoint[];
  /** Its grace period: so long may a worker that leaves take for what it has. */
  readonly graceMs: number;
  /**
   * Resolves once the successor is the one that serves.
   *
   * @throws {ProveFailure} it was refused, or never came to an end
   */
  upgrade(): Promise<void>;
  /** As `upgrade`, for a new generation of workers. */
  reload(): Promise<void>;
  /** Process ids of the workers that take new connections. */
  workers(): Promise<readonly number[]>;
  /**
   * Resolves once another worker has taken the place of that one.
   *
   * @param among how many take new connections when all are there
   */
  replaced(pid: number, among: number): Promise<void>;
}

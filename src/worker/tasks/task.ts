/** What a program runs in the background: once on the host, in one of the workers. */
import type { Log } from '../../shared/log/log.ts';

export interface TaskContext {
  /** Aborted when the worker drains; the task then has the grace period to come to an end. */
  readonly signal: AbortSignal;
  /** Lets the services begin that depend on this one; once is enough. A task that ends is ready, too. */
  readonly ready: () => void;
  /** Lines written here carry the service's name. */
  readonly log: Log;
  /** The program's own keys of the configuration, as `server.configuration`. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

/** Runs until it returns, and then is done. One that throws is logged and started again, after a pause. */
export type Task = (context: TaskContext) => void | Promise<void>;

/** What somebody waits for before it begins. */
export interface Dependency {
  readonly service: string;
  /** Milliseconds. */
  readonly withinMs: number;
}

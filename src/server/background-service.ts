/** A task of the program that runs once on the host and not in every worker. */
import { refuseNoTime, refuseUnknown } from '../shared/config/options.ts';
import type { Task } from '../worker/tasks/task.ts';
import { Service } from './service.ts';

export interface BackgroundOptions {
  /**
   * How long those that depend on it wait until it is ready, beyond its own waits; then
   * the start fails. Default 20,000 ms.
   */
  readonly readyTimeoutMs?: number;
}

const READY_TIMEOUT_MS = 20_000;

export class BackgroundService extends Service {
  readonly task: Task;
  readonly readyTimeoutMs: number;

  constructor(name: string, task: Task, options: BackgroundOptions) {
    super(name);
    const { readyTimeoutMs = READY_TIMEOUT_MS } = options;
    refuseUnknown('backgroundService', options, { readyTimeoutMs: true });
    refuseNoTime('backgroundService', { readyTimeoutMs });
    this.task = task;
    this.readyTimeoutMs = readyTimeoutMs;
  }
}

/**
 * Makes a service of a task; add it to a server. One of the workers runs the task, and
 * another when that one ends. During an upgrade the old and the new server have one each.
 *
 * @throws {TypeError} an option is unknown or makes no sense
 */
export function backgroundService(
  name: string,
  task: Task,
  options: BackgroundOptions = {},
): BackgroundService {
  return new BackgroundService(name, task, options);
}

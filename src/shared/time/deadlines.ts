/**
 * Deadlines of many connections, looked at together a few times a second.
 *
 * A timer per connection would cost memory for each idle one and work for each
 * request; here arming is one store to a field. The price is precision: a
 * deadline is noticed up to `SWEEP_MS` late, which no timeout of a proxy minds.
 */
import { machineTime, type Time } from './time.ts';

export interface Expiring {
  /** On the scale of `Deadlines.now`, milliseconds; `Infinity` while nothing is awaited. */
  deadlineAt: number;
  /** Called once per deadline: `deadlineAt` is `Infinity` again when it runs. */
  onDeadline(): void;
}

const SWEEP_MS = 100;

export class Deadlines {
  /** Milliseconds, monotonic, as of the last sweep: up to `SWEEP_MS` old, and free to read. */
  now: number;
  readonly #time: Time;
  readonly #items = new Set<Expiring>();
  #stop: (() => void) | undefined;

  constructor(time: Time = machineTime) {
    this.#time = time;
    this.now = time.now();
  }

  add(item: Expiring): void {
    this.#items.add(item);
    if (this.#stop !== undefined) return;
    this.now = this.#time.now();
    this.#stop = this.#time.every(SWEEP_MS, () => this.#sweep());
  }

  /** A bound on the live items is their owners' business: each is a connection, and those are bounded. */
  remove(item: Expiring): void {
    this.#items.delete(item);
    if (this.#items.size > 0 || this.#stop === undefined) return;
    this.#stop();
    this.#stop = undefined;
  }

  #sweep(): void {
    const now = this.#time.now();
    this.now = now;
    for (const item of this.#items) {
      if (item.deadlineAt > now) continue;
      item.deadlineAt = Number.POSITIVE_INFINITY;
      item.onDeadline();
    }
  }
}

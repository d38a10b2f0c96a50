/** Subrequests that nobody waits for, of all services of a worker: so many at once, and each so long. */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Log } from '../../shared/log/log.ts';
import type { Time } from '../../shared/time/time.ts';
import type { OutgoingBody } from '../http/body.ts';
import type { AnswerReceiver, SubrequestExchange } from './subrequest-exchange.ts';

/** A connection and some KiB each; whoever makes more than the peers can take must not fill the memory. */
const MAX_RUNNING = 256;

export class BackgroundSubrequests {
  readonly #time: Time;
  readonly #log: Log;
  readonly #running = new Set<SubrequestExchange>();
  #refused = 0;
  #onEmpty: (() => void) | undefined;

  constructor(time: Time, log: Log) {
    this.#time = time;
    this.#log = log;
  }

  /**
   * @param tooLate what ends it after so many milliseconds
   * @returns `undefined`: too many are running
   */
  add(
    make: (receiver: AnswerReceiver) => SubrequestExchange,
    ms: number,
    tooLate: ProxyError,
  ): SubrequestExchange | undefined {
    if (this.#running.size >= MAX_RUNNING) {
      this.#refuse();
      return undefined;
    }
    const exchange = make({
      bodySink: () => new Unread(),
      onHead() {},
      onCut() {},
      onOver: () => {
        stopClock();
        this.#running.delete(exchange);
        if (this.#running.size === 0) this.#onEmpty?.();
      },
    });
    const stopClock = this.#time.after(ms, () => exchange.abandon(tooLate));
    this.#running.add(exchange);
    return exchange;
  }

  /** One line for all of a second, since there may be many. */
  #refuse(): void {
    if (this.#refused === 0) {
      this.#time.after(1_000, () => {
        const fields = { refused: this.#refused, running: this.#running.size };
        this.#refused = 0;
        this.#log.warn(fields, 'subrequests in the background refused: too many are running');
      });
    }
    this.#refused += 1;
  }

  /** Resolves when none is running any more. */
  async drain(): Promise<void> {
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  cut(): void {
    const stopping = new ProxyError('downstream/closed', 'the worker is stopping');
    for (const exchange of this.#running) exchange.abandon(stopping);
  }
}

class Unread implements OutgoingBody {
  onDrain: (() => void) | undefined;

  write(): boolean {
    return true;
  }

  flush(): void {}

  end(): void {}

  abort(): void {}
}

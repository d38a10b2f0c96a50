/**
 * The states of a supervisor, and what may be asked of it in each. Whatever
 * comes, in whatever order and however often, meets one of these rules:
 *
 * - What is asked during the start is done after it; only a stop does not wait.
 * - Reload, upgrade and hand-off run one after the other. Of each one waits at
 *   most, and whoever asks meanwhile gets its outcome; a second upgrade or
 *   hand-off is refused while one is under way.
 * - Once it drains or stops, nothing else begins, and what is under way is given up.
 */
import type { Log } from '../shared/log/log.ts';
import {
  done,
  refused,
  type DrainReason,
  type LastReload,
  type Operations,
  type Outcome,
  type PeerStatus,
  type PeerSwitch,
  type State,
  type Status,
  type Supervisor,
} from './operations.ts';

type Exclusive = 'reload' | 'upgrade' | 'hand-off';

export interface Course<Started extends Supervisor> {
  /**
   * Rejects with the signal's reason if it was given up.
   *
   * @param abort told to stop
   * @param drain told to drain: what only waits for something to begin need not go on
   */
  readonly start: (abort: AbortSignal, drain: AbortSignal) => Promise<Started>;
  /** It serves; what happens until this resolves is still part of the start, and may fail. */
  readonly whenUp: (supervisor: Started) => Promise<void>;
}

/** Who is told what the supervisor does, such as a service manager. */
export interface Observer {
  /** After the start, and after every reload, whatever came of it. */
  serving(): void;
  reloading(): void;
  draining(reason: DrainReason): void;
  stopping(): void;
}

export class Lifecycle implements Operations {
  readonly #log: Log;
  readonly #version: string;
  readonly #observer: Observer | undefined;
  readonly #startedAt = Date.now();
  readonly #abort = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #waiting = new Map<Exclusive, Promise<Outcome>>();
  #state: State = 'starting';
  #supervisor: Supervisor | undefined;
  readonly #drainAfterStart = new AbortController();
  #reopenAfterStart = false;
  #lastTurn: Promise<unknown> = this.#started.promise;
  #running: Exclusive | undefined;
  #lastReload: LastReload | undefined;

  constructor(log: Log, version: string, observer?: Observer) {
    this.#log = log;
    this.#version = version;
    this.#observer = observer;
  }

  /** Starts a supervisor and resolves when nothing of it runs any more. */
  async run<Started extends Supervisor>({ start, whenUp }: Course<Started>): Promise<void> {
    let supervisor: Started;
    try {
      supervisor = await start(this.#abort.signal, this.#drainAfterStart.signal);
    } catch (thrown) {
      const { signal } = this.#drainAfterStart;
      if (thrown !== this.#abort.signal.reason && thrown !== signal.reason) throw thrown;
      return;
    }
    this.#supervisor = supervisor;
    if (this.#is('gone')) return supervisor.stop();
    if (this.#reopenAfterStart) supervisor.reopenLogs();
    if (this.#drainAfterStart.signal.aborted) this.#drain('stopping');
    else void this.#serve(() => whenUp(supervisor));
    await this.#ended.promise;
  }

  status(): Status {
    return {
      state: this.#state,
      version: this.#version,
      pid: process.pid,
      startedAt: this.#startedAt,
      ...(this.#lastReload && { lastReload: this.#lastReload }),
      ...this.#supervisor?.status(),
    };
  }

  reload(): Promise<Outcome> {
    return this.#exclusive('reload', (supervisor, abort) => supervisor.reload(abort));
  }

  upgrade(): Promise<Outcome> {
    return this.#exclusive('upgrade', (supervisor, abort) => supervisor.upgrade(abort));
  }

  handOff(): Promise<Outcome> {
    return this.#exclusive('hand-off', (supervisor, abort) => supervisor.handOff(abort));
  }

  drain(): Outcome {
    switch (this.#state) {
      case 'starting':
      case 'serving':
        if (this.#supervisor !== undefined) this.#drain('stopping');
        else this.#drainAfterStart.abort(new Error('told to drain'));
        return done('draining: it ends when the last request is done');
      case 'draining':
        return done('it drains already');
      case 'gone':
        return done('it is ending already');
    }
  }

  stop(): Outcome {
    const text = this.#state === 'gone' ? 'it is ending already' : 'stopping at once';
    if (this.#state !== 'gone') {
      this.#state = 'gone';
      this.#observer?.stopping();
      this.#giveUp();
      // Without one the start is given up, and its own clean-up follows.
      if (this.#supervisor !== undefined) this.#endWith(this.#supervisor.stop());
    }
    return done(text);
  }

  reopenLogs(): Outcome {
    if (this.#supervisor === undefined) this.#reopenAfterStart = true;
    else if (this.#state !== 'gone') this.#supervisor.reopenLogs();
    return done('log files are opened anew');
  }

  peers(): readonly PeerStatus[] {
    return this.#supervisor?.peers() ?? [];
  }

  switchPeer(order: PeerSwitch): Outcome {
    if (this.#supervisor === undefined)
      return refused('the start is not over; try again when it is');
    return this.#supervisor.switchPeer(order);
  }

  async #serve(whenUp: () => Promise<void>): Promise<void> {
    try {
      await whenUp();
    } catch (thrown) {
      if (!this.#is('starting')) return;
      this.#state = 'gone';
      await this.#supervisor!.stop().catch(() => {});
      return this.#ended.reject(thrown);
    }
    if (!this.#is('starting')) return;
    this.#state = 'serving';
    this.#observer?.serving();
    this.#started.resolve();
  }

  #exclusive(
    name: Exclusive,
    run: (supervisor: Supervisor, abort: AbortSignal) => Promise<Outcome>,
  ): Promise<Outcome> {
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) return waiting;
    if (name !== 'reload' && this.#running !== undefined && this.#running !== 'reload') {
      return Promise.resolve(
        refused(`another ${this.#running} is under way; wait for its end (see: sluice status)`),
      );
    }
    const turn = this.#lastTurn.then(() => {
      this.#waiting.delete(name);
      return this.#take(name, run);
    });
    this.#waiting.set(name, turn);
    this.#lastTurn = turn;
    return turn;
  }

  async #take(
    name: Exclusive,
    run: (supervisor: Supervisor, abort: AbortSignal) => Promise<Outcome>,
  ): Promise<Outcome> {
    const supervisor = this.#supervisor;
    if (supervisor === undefined || this.#state !== 'serving') {
      return refused(`no ${name}: it is ${this.#state === 'draining' ? 'draining' : 'stopping'}`);
    }
    this.#running = name;
    if (name === 'reload') this.#observer?.reloading();
    const outcome = await run(supervisor, this.#abort.signal).catch((thrown: unknown) => {
      this.#log.error({ err: thrown }, `${name} failed`);
      return refused(
        `${name} failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      );
    });
    this.#running = undefined;
    if (name === 'reload') this.#afterReload(outcome);
    else if (outcome.kind === 'done' && this.#is('serving')) this.#drain('handed-off');
    return outcome;
  }

  /** Apart, since the state may have changed during a wait. */
  #is(state: State): boolean {
    return this.#state === state;
  }

  #afterReload(outcome: Outcome): void {
    if (this.#is('serving')) this.#observer?.serving();
    const at = Date.now();
    this.#lastReload =
      outcome.kind === 'done'
        ? { successful: true, at }
        : { successful: false, at, reason: outcome.reason };
  }

  #drain(reason: DrainReason): void {
    this.#state = 'draining';
    this.#observer?.draining(reason);
    this.#giveUp();
    const supervisor = this.#supervisor!;
    void supervisor.drain(reason).then(() => {
      // A stop that has overtaken it ends the process itself.
      if (this.#state === 'draining') this.#endWith(Promise.resolve());
    }, this.#ended.reject);
  }

  #giveUp(): void {
    this.#abort.abort(new Error('told to stop'));
    // Lets those go that wait for the start; their turn finds that it is too late.
    this.#started.resolve();
  }

  #endWith(last: Promise<void>): void {
    this.#state = 'gone';
    last.then(this.#ended.resolve, this.#ended.reject);
  }
}

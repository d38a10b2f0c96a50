/**
 * Runs phases one after the other and waits for those that return a promise. Whatever
 * goes on after a wait finds out first whether anybody still wants it to.
 */
import type { Deadlines } from '../../shared/time/deadlines.ts';
import { Patience } from './patience.ts';
import type { PhaseName } from './proxy-http.ts';
import { asProxyError, type Session } from './session.ts';

export interface PhaseWaits {
  readonly deadlines: Deadlines;
  /** For a phase that returns a promise, unless the session says otherwise. */
  readonly phaseTimeoutMs: number;
}

export abstract class PhaseRun {
  protected readonly session: Session;
  /** The one that runs, for the log. */
  protected phase: PhaseName | undefined;
  /** Changes with each thing that is waited for: what comes later than it should finds another number. */
  protected wait = 0;
  protected ended = false;
  /** Made only where something is waited for. */
  protected patience: Patience | undefined;
  readonly #waits: PhaseWaits;

  constructor(session: Session, waits: PhaseWaits) {
    this.session = session;
    this.#waits = waits;
  }

  /** Where everything that is thrown ends; never throws itself. */
  protected abstract fail(thrown: unknown): void;

  /** Goes on when the promise of a phase is settled, or fails when it takes too long. */
  protected later<T>(pending: PromiseLike<T>, next: (value: T) => void): void {
    const wait = ++this.wait;
    const { phase } = this;
    const patience = this.patient();
    const ms = this.session.timeouts?.phaseMs ?? this.#waits.phaseTimeoutMs;
    patience.phaseBegan(phase, ms);
    pending.then(
      (value) => {
        if (this.isLate(wait)) return;
        patience.phaseEnded();
        this.guarded(() => next(value));
      },
      (thrown: unknown) => {
        if (!this.isLate(wait)) this.fail(asProxyError(thrown, phase));
      },
    );
  }

  protected patient(): Patience {
    this.patience ??= new Patience(
      this.#waits.deadlines,
      () => this.session.isReadingBody,
      (error) => this.fail(error),
    );
    return this.patience;
  }

  protected isLate(wait: number): boolean {
    return this.ended || wait !== this.wait;
  }

  protected guarded(step: () => void): void {
    if (this.ended) return;
    try {
      step();
    } catch (thrown) {
      this.fail(thrown);
    }
  }
}

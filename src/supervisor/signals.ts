/**
 * Signals to the supervisor:
 *
 *   INT   stop at once
 *   TERM  drain, then end; the second one stops at once
 *   QUIT  hand over to the successor that waits
 *   HUP   reload
 *   USR1  reopen log files
 */
import type { Log } from '../shared/log/log.ts';
import type { Operations, Outcome } from './operations.ts';

const handled = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR1'] as const;
type Signal = (typeof handled)[number];

/** Signals are kept until there is somebody to obey them: one that comes early must not be lost. */
export class Signals {
  readonly #arrived: Signal[] = [];
  #obey: ((signal: Signal) => void) | undefined;

  /** From now on no signal ends the process or, as SIGUSR1 would, opens Node's debugger. */
  constructor() {
    for (const signal of handled) process.on(signal, () => this.#received(signal));
  }

  direct(operations: Operations, log: Log): void {
    let told = false;
    this.#obey = (signal) => {
      log.info({ signal }, 'signal received');
      const again = told && signal === 'SIGTERM';
      told ||= signal === 'SIGTERM';
      // One that comes while it drains after a hand-off is the first one still.
      const outcome = again ? operations.stop() : act(signal, operations);
      void Promise.resolve(outcome).then((each) => tell(signal, each, log));
    };
    for (const signal of this.#arrived.splice(0)) this.#obey(signal);
  }

  #received(signal: Signal): void {
    if (this.#obey !== undefined) this.#obey(signal);
    // Twice the same is as much as anybody can mean.
    else if (this.#arrived.filter((each) => each === signal).length < 2) this.#arrived.push(signal);
  }
}

function act(signal: Signal, operations: Operations): Outcome | Promise<Outcome> {
  switch (signal) {
    case 'SIGINT':
      return operations.stop();
    case 'SIGTERM':
      return operations.drain();
    case 'SIGQUIT':
      return operations.handOff();
    case 'SIGHUP':
      return operations.reload();
    case 'SIGUSR1':
      return operations.reopenLogs();
  }
}

function tell(signal: Signal, outcome: Outcome, log: Log): void {
  if (outcome.kind === 'done') log.info({ signal }, outcome.text);
  else log.error({ signal, reason: outcome.reason }, 'refused; nothing has changed');
}

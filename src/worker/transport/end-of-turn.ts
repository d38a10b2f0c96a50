/**
 * What is to happen when every event of this turn of the event loop has been
 * dealt with: small writes, all of them one after the other.
 *
 * A write wakes the process at its other end. If that runs on another core and
 * sleeps, waking it costs more than the write itself; by the time of our next
 * write it has done its little work and sleeps again. Writes that follow each
 * other find it awake. And our own code stays in the processor's caches while it
 * deals with one event after the other, with no kernel in between. Together
 * that spared 4 to 21 % of a small request's CPU, for a delay of some
 * microseconds (ADR 6).
 */
export interface EndOfTurnListener {
  onEndOfTurn(): void;
}

let waiting: EndOfTurnListener[] = [];
let called: EndOfTurnListener[] = [];

/** Calls it once, soon. */
export function atEndOfTurn(listener: EndOfTurnListener): void {
  if (waiting.length === 0) setImmediate(endTurn);
  waiting.push(listener);
}

function endTurn(): void {
  const listeners = waiting;
  // The two lists take turns, so that a listener may ask to be called once more.
  waiting = called;
  called = listeners;
  let next = 0;
  try {
    while (next < listeners.length) listeners[next++]!.onEndOfTurn();
  } finally {
    // Whoever throws ends the process, unless the program decides otherwise: then the others must not wait for ever.
    const rest = next < listeners.length ? listeners.slice(next) : [];
    listeners.length = 0;
    for (const listener of rest) atEndOfTurn(listener);
  }
}

/** How long to wait before a dead worker is replaced, or a task that failed started again. Pure. */

/** What lived at least this long was well: its end says nothing about the next one. */
const YOUNG_MS = 5_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;

export interface DeathRecord {
  /** Young deaths in a row. */
  readonly youngDeaths: number;
  readonly waitMs: number;
}

/**
 * After the first young death there is no wait either, since a request may have
 * been the cause; from the second one on the wait doubles, so that a program that
 * cannot run does not burn the machine.
 */
export function afterDeath(youngDeathsBefore: number, livedMs: number): DeathRecord {
  if (livedMs >= YOUNG_MS) return { youngDeaths: 0, waitMs: 0 };
  const youngDeaths = youngDeathsBefore + 1;
  if (youngDeaths === 1) return { youngDeaths, waitMs: 0 };
  return { youngDeaths, waitMs: Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (youngDeaths - 2)) };
}

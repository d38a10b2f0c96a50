/** How long to wait before something that fails is tried again. */

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/**
 * Doubles with each failure, and half of it is chance: hosts that fail together
 * must not come back together.
 *
 * @param failures in a row, from 1 on
 * @param random 0 to below 1
 * @returns milliseconds
 */
export function retryPauseMs(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 30));
  return longest * (0.5 + random() / 2);
}

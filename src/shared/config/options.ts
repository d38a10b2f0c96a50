/** Options that a program gives in an object: types do not hold where they were cast or JavaScript is written. */
import { nearest } from './problem.ts';

/**
 * A misspelt option would be no option, and its default would stand without a word.
 *
 * @param caller as the program calls it, such as `httpProxyService`
 * @param known every key that there is; a `Record` of them, so that the compiler misses none
 * @throws {TypeError} names the key, and the nearest that there is
 */
export function refuseUnknown<Options extends object>(
  caller: string,
  options: Options,
  known: Readonly<Record<keyof Options, unknown>>,
): void {
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(known, key)) continue;
    const keys = Object.keys(known);
    const meant = nearest(key, keys);
    const hint =
      meant === undefined ? `; there is ${keys.join(', ')}` : `; did you mean "${meant}"?`;
    throw new TypeError(`${caller}: unknown option "${key}"${hint}`);
  }
}

/** @throws {TypeError} a wait is given that would not end, or not begin */
export function refuseNoTime(
  caller: string,
  waits: Readonly<Record<string, number | undefined>>,
): void {
  for (const [name, ms] of Object.entries(waits)) {
    if (ms === undefined || (Number.isFinite(ms) && ms > 0)) continue;
    throw new TypeError(`${caller}: ${name}: expected a number of milliseconds above 0, got ${ms}`);
  }
}

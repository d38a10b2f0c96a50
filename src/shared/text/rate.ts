/** How often: so many in a time. */
export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** What `rateOf` reads, for messages. */
export const RATE_EXAMPLES = '"10/s", "600/m", "100/h" or "5000/d"';

/** `"10/s"`, `"600/m"`, `"100/h"`, `"5000/d"`; `undefined` if it is none of them. */
export function rateOf(text: string): Rate | undefined {
  const [, count, unit = ''] = /^(\d{1,9})\/([smhd])$/.exec(text) ?? [];
  const perMs = UNITS[unit];
  if (count === undefined || perMs === undefined || Number(count) < 1) return undefined;
  return { count: Number(count), perMs };
}

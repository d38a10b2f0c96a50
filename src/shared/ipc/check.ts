/**
 * What a process says that only checks the configuration. It writes into a file
 * without a name that it has inherited, since it may have to end in the middle of
 * the program's first lines, where nothing can be waited for.
 */
import { writeSync } from 'node:fs';
import { readWhole } from './boot.ts';
import type { Plan } from './plan.ts';

export type CheckVerdict =
  | {
      readonly kind: 'plan';
      readonly plan: Plan;
      readonly warnings: readonly string[];
      /** Of the Sluice that has checked. */
      readonly version: string;
    }
  /** The reason is for the caller's terminal; it may have several lines, with place and caret. */
  | { readonly kind: 'refused'; readonly reason: string };

/** In that process; the boot file comes just before. */
const VERDICT_FD = 5;

/** Ends the process. */
export function endWithVerdict(verdict: CheckVerdict): never {
  const bytes = Buffer.from(JSON.stringify(verdict));
  for (let at = 0; at < bytes.length;) at += writeSync(VERDICT_FD, bytes, at);
  process.exit(0);
}

/** @returns `undefined`: it ended without one */
export function readVerdict(fd: number): CheckVerdict | undefined {
  const text = readWhole(fd);
  return text === '' ? undefined : (JSON.parse(text) as CheckVerdict);
}

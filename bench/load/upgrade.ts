/**
 * Is anything lost when Sluice is upgraded, reloaded, or when a worker dies?
 *
 * Baseline: none; the goal is 0 in every column of losses, and a gap in new
 * connections below 50 ms on an idle machine. The same as `sluice prove-upgrade`,
 * which explains how to read it. Needs 2 idle cores for the gap; the losses must
 * be 0 on any machine.
 */
import { fileURLToPath } from 'node:url';
import { proveUpgrade } from '../../src/prove/main.ts';

const SLUICE = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));

export const usage = [
  '--upgrades 10 --reloads 10 --kills 10   how many of each',
  '--clients 8 --seconds 0 --grace 2 --threads N --conf FILE --json',
].join('\n    ');

/** @returns exit code: 1 if anything was lost */
export function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  return proveUpgrade(args, [process.execPath, ...process.execArgv, SLUICE], signal);
}

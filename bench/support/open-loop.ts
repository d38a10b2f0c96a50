/**
 * Requests at a given rate, whether or not earlier ones have been answered: what
 * independent users do. An answer's latency counts from when its request was
 * due, so a server that stalls pays for every request that came meanwhile.
 */
import { fileURLToPath } from 'node:url';
import { BenchFailure } from './failure.ts';
import { output } from './load.ts';
import { pinned } from './pin.ts';

export interface OpenLoopOptions {
  readonly port: number;
  /** A request that is due when all of them are taken waits for one. */
  readonly connections: number;
  /** Requests per second on average; they come at random, as those of many users do. */
  readonly rate: number;
  readonly seconds: number;
}

export interface OpenLoopResult {
  readonly answered: number;
  /** Due, but not answered soon after the end. */
  readonly unanswered: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** How late requests were seen to be due: of a latency, the part that is the load's own. */
  readonly lateP99Ms: number;
}

/** @throws {BenchFailure} a request failed */
export async function openLoop(
  options: OpenLoopOptions,
  core: number,
  signal: AbortSignal,
): Promise<OpenLoopResult> {
  const program = fileURLToPath(new URL('./open-loop-program.ts', import.meta.url));
  const command = pinned([core], process.execPath, [program, JSON.stringify(options)]);
  const text = await output(...command, signal);
  const result = /^RESULT (.*)$/m.exec(text)?.[1];
  if (result === undefined) throw new BenchFailure(`the load failed: ${text.trim()}`);
  return JSON.parse(result) as OpenLoopResult;
}

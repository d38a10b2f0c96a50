/** Numbers on the command line of a benchmark: each has a range, and a wrong one says which. */
import { BenchFailure } from './failure.ts';

/** @throws {BenchFailure} `text` is not a whole number from `min` to `max` */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new BenchFailure(
    `--${option}: expected a whole number from ${min} to ${max}, got "${text}"`,
  );
}

/** What `parseArgs` threw, as a line for the terminal; other errors pass unchanged. */
export function asUsageFailure(thrown: unknown): unknown {
  const { code, message } = thrown as { code?: unknown; message?: string };
  const isUsage = typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS_');
  return isUsage ? new BenchFailure(String(message)) : thrown;
}

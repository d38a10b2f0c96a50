/** Bytes of a client that have been read but cannot be used yet, and when to look at them again. */
import type { HeadLimits } from '../protocol/http1/request-head.ts';

/** Of a request line, the most that may stand beside its target. */
const REST_OF_LINE = 64;

const LF = 0x0a;

/**
 * A copy of `bytes[from..end)` to be kept. What was held before is ours, and most of
 * it is kept as it is: copied anew for each of many pipelined requests, it would cost
 * more than everything else that is done for them.
 *
 * @param isOurs nobody else will write to these bytes
 */
export function kept(bytes: Buffer, from: number, end: number, isOurs: boolean): Buffer {
  const isMost = (end - from) * 2 > bytes.buffer.byteLength;
  if (isOurs && isMost) return bytes.subarray(from, end);
  // Not from the runtime's pool, of which a small piece would hold on to all.
  const copy = Buffer.allocUnsafeSlow(end - from);
  bytes.copy(copy, 0, from, end);
  return copy;
}

/**
 * Whether the beginning of a head should be parsed again, now that `added` has come. A head
 * is parsed from its start each time, so only when a line was completed or a limit crossed:
 * else a client that sends byte by byte would make us do quadratic work.
 *
 * @param before how many bytes there were
 */
export function isWorthParsing(added: Buffer, before: number, limits: HeadLimits): boolean {
  const { maxTargetBytes, maxHeadBytes } = limits;
  const now = before + added.length;
  const maxLineBytes = maxTargetBytes + REST_OF_LINE;
  return added.includes(LF) || (before <= maxLineBytes && now > maxLineBytes) || now > maxHeadBytes;
}

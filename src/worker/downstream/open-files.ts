/** How many connections the limit on open files leaves room for. */
import { readFileSync } from 'node:fs';

/** For logs, segments, the runtime's own descriptors, and health probes. */
const RESERVED = 256;
/** Where the limit cannot be read; below what systems usually allow. */
const ASSUMED_LIMIT = 4_096;

/** Of what is left, a client's connection needs one and may need a second one to a peer. */
export function defaultMaxConnections(limit = openFilesLimit()): number {
  return Math.max(64, Math.floor((limit - RESERVED) / 2));
}

/** Soft limit (RLIMIT_NOFILE) of this process. */
function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(
      readFileSync('/proc/self/limits', 'utf8'),
    ) ?? [undefined, undefined];
    return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft ?? ASSUMED_LIMIT);
  } catch {
    return ASSUMED_LIMIT;
  }
}

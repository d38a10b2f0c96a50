/** How many connections the limit on open files leaves room for. */
import { openFilesLimit } from '../../shared/open-files.ts';

/** For logs, segments, the runtime's own descriptors, and health probes. */
const RESERVED = 256;

/** Of what is left, a client's connection needs one and may need a second one to a peer. */
export function defaultMaxConnections(limit = openFilesLimit()): number {
  return Math.max(64, Math.floor((limit - RESERVED) / 2));
}

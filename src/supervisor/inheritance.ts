/**
 * What outlives a supervisor: listening sockets and shared segments. A successor
 * that gets the descriptors starts from them as if it had opened them itself.
 */
import type { Place } from '../shared/ipc/place.ts';
import type { SegmentSpec } from '../shared/memory/segment.ts';

export interface Inheritance {
  readonly sockets: readonly InheritedSockets[];
  readonly segments: readonly InheritedSegment[];
}

/** All sockets of one address. */
export interface InheritedSockets {
  /** The address as the configuration writes it (`addressKeys`): by it the successor finds them. */
  readonly key: string;
  /** Where they are bound, which for port 0 is something else. */
  readonly place: Place;
  /** By worker slot, in the order in which they began to listen; of a Unix socket there is one. */
  readonly fds: readonly number[];
}

export interface InheritedSegment extends SegmentSpec {
  readonly fd: number;
}

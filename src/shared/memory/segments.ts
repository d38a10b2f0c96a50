/** The segments that every Sluice has; limiters add their own, by name. */
import { metricsTableSize } from './metrics-table.ts';
import { peerTableSize } from './peer-table.ts';
import type { SegmentSpec } from './segment.ts';

export const METRICS_SEGMENT = 'metrics';
export const PEERS_SEGMENT = 'peers';

/** @param slots of one metrics row */
export function standardSegments(slots: number, threads: number): SegmentSpec[] {
  return [
    { name: METRICS_SEGMENT, layout: 1, size: metricsTableSize(metricsRows(threads), slots) },
    { name: PEERS_SEGMENT, layout: 1, size: peerTableSize() },
  ];
}

/**
 * Rows of the metrics table: worker processes alive at a time, and the base row.
 * During a replacement two processes of a slot are alive, and draining
 * generations add theirs; five generations are the most that live at once.
 */
export function metricsRows(threads: number): number {
  return 1 + threads * 5;
}

/** The segments of Sluice itself; limiters add their own, by name. */
import { labelTableSize } from './label-table.ts';
import { metricsTableSize } from './metrics-table.ts';
import { peerTableSize } from './peer-table.ts';
import type { SegmentSpec } from './segment.ts';

export const METRICS_SEGMENT = 'metrics';
export const PEERS_SEGMENT = 'peers';
export const LABELS_SEGMENT = 'metric-labels';

/** @param slots of one metrics row */
export function standardSegments(slots: number, threads: number): SegmentSpec[] {
  return [
    { name: METRICS_SEGMENT, layout: 1, size: metricsTableSize(metricsRows(threads), slots) },
    { name: PEERS_SEGMENT, layout: 1, size: peerTableSize() },
  ];
}

/** @param rows of the label table; with none there is no segment */
export function labelSegments(rows: number): SegmentSpec[] {
  return rows === 0 ? [] : [{ name: LABELS_SEGMENT, layout: 1, size: labelTableSize(rows) }];
}

/**
 * Rows of the metrics table: worker processes alive at a time, and the base row.
 * During a replacement two processes of a slot are alive, and draining
 * generations add theirs; five generations are the most that live at once.
 */
export function metricsRows(threads: number): number {
  return 1 + threads * 5;
}

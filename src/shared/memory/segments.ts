/** The segments of Sluice itself; limiters add their own, by name. */
import type { MetricsLayout } from '../metrics/layout.ts';
import { labelTableSize } from './label-table.ts';
import { metricsTableSize } from './metrics-table.ts';
import { peerTableSize } from './peer-table.ts';
import type { SegmentSpec } from './segment.ts';

export const METRICS_SEGMENT = 'metrics';
export const PEERS_SEGMENT = 'peers';
export const LABELS_SEGMENT = 'metric-labels';

export function standardSegments(layout: MetricsLayout, threads: number): SegmentSpec[] {
  return [
    {
      name: METRICS_SEGMENT,
      layout: 1,
      size: metricsTableSize(metricsRows(threads), layout.slots),
      contents: layout.contents,
    },
    { name: PEERS_SEGMENT, layout: 2, size: peerTableSize(workerProcesses(threads)) },
    ...labelSegments(layout),
  ];
}

/** Without labels whose values are not known there is none. */
function labelSegments({ labelRows, labelContents }: MetricsLayout): SegmentSpec[] {
  if (labelRows === 0) return [];
  return [
    { name: LABELS_SEGMENT, layout: 1, size: labelTableSize(labelRows), contents: labelContents },
  ];
}

/** Rows of the metrics table: the base row, the supervisor's, and those of worker processes. */
export function metricsRows(threads: number): number {
  return 2 + workerProcesses(threads);
}

/**
 * That are alive at a time: five generations are the most that live at once, and
 * of one slot two processes while it is renewed.
 */
function workerProcesses(threads: number): number {
  return threads * 6;
}

/** What workers in a crowd are told, and what their test expects of them. */
import type { SegmentSpec } from '../../../../../src/shared/memory/segment.ts';

export const REGULARS = ['one', 'two', 'three'] as const;
/** Many at once: so they owe more than passers-by, and are never the ones to go. */
export const COST = 5;
export const BURST = 20;

export interface CrowdOrder {
  readonly spec: SegmentSpec;
  readonly rounds: number;
  readonly workers: number;
}

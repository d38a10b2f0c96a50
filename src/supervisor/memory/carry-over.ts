/** What a new table gets from the one of its name that was there before. */
import { carryLimits, policyIn } from '../../shared/memory/limit-table.ts';
import { carryVerdicts } from '../../shared/memory/peer-table.ts';
import type { Segment } from '../../shared/memory/segment.ts';
import { PEERS_SEGMENT } from '../../shared/memory/segments.ts';
import { monotonicNs } from '../../shared/time/clock.ts';

export function carryOver(from: Segment, to: Segment): void {
  if (to.name === PEERS_SEGMENT) return carryVerdicts(from, to);
  const [before, now] = [policyIn(from), policyIn(to)];
  if (before !== undefined && now !== undefined) carryLimits(from, before, to, now, monotonicNs());
}

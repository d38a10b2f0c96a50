/** What a new table gets from the one of its name that was there before. */
import { carryLimits, policyIn } from '../../shared/memory/limit-table.ts';
import { MetricsTable, metricsTableSize } from '../../shared/memory/metrics-table.ts';
import { carryVerdicts } from '../../shared/memory/peer-table.ts';
import type { Segment } from '../../shared/memory/segment.ts';
import { METRICS_SEGMENT, PEERS_SEGMENT } from '../../shared/memory/segments.ts';
import { MetricsLayout, slotsIn } from '../../shared/metrics/layout.ts';
import { monotonicNs } from '../../shared/time/clock.ts';

/** @param isInherited the table before is a predecessor's: figures of our own are in the ledger */
export function carryOver(from: Segment, to: Segment, isInherited: boolean): void {
  if (to.name === PEERS_SEGMENT) return carryVerdicts(from, to);
  if (to.name === METRICS_SEGMENT) return isInherited ? carryFigures(from, to) : undefined;
  const [before, now] = [policyIn(from), policyIn(to)];
  if (before !== undefined && now !== undefined) carryLimits(from, before, to, now, monotonicNs());
}

/** Totals as they are at this moment: what workers of the predecessor still count ends with them. */
function carryFigures(from: Segment, to: Segment): void {
  const [older, layout] = [from, to].map(({ contents }) =>
    MetricsLayout.from(contents ?? '[[],[],[]]'),
  );
  // Of a release that counts in other places.
  if (from.size % metricsTableSize(1, older!.slots) !== 0) return;
  const figures = new MetricsTable(from, older!.slots);
  const totals = new MetricsTable(to, layout!.slots);
  const { passingSlots } = older!;
  for (const [slot, there] of slotsIn(older!, layout!).entries()) {
    if (there >= 0 && !passingSlots.has(there)) totals.addToBase(slot, figures.sum(there));
  }
}

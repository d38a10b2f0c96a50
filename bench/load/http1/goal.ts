/** What Sluice is to reach, and whether it did. */
import { summarize, type Sample } from '../../support/compare.ts';
import { sluice } from '../../support/peers/sluice.ts';

/** Of Sluice's CPU time per request, as a share of another's. */
export interface Goal {
  readonly against: string;
  readonly atMost: number;
  /** Better still. */
  readonly aim?: number;
}

/** `goal for sluice: at most 1.05 x nginx (aim 1.00): 1.02, met` */
export function goalLine(
  { against, atMost, aim }: Goal,
  samples: ReadonlyMap<string, readonly Sample[]>,
): string {
  const own = samples.get(sluice.name);
  const baseline = samples.get(against);
  const ratio = own && baseline && summarize(own, baseline).ratio;
  return verdictLine({ limit: atMost, aim, reached: ratio, of: ` x ${against}` });
}

export interface Verdict {
  readonly limit: number;
  readonly aim?: number | undefined;
  /** `undefined` if it was not measured. */
  readonly reached: number | undefined;
  /** What the numbers count: ` x nginx`, ` KB`. */
  readonly of: string;
}

export function verdictLine({ limit, aim, reached, of }: Verdict): string {
  const wanted = `goal for sluice: at most ${limit.toFixed(2)}${of}`;
  const better = aim === undefined ? '' : ` (aim ${aim.toFixed(2)})`;
  if (reached === undefined) return `${wanted}${better}: not measured\n`;
  return `${wanted}${better}: ${reached.toFixed(2)}, ${reached <= limit ? 'met' : 'missed'}\n`;
}

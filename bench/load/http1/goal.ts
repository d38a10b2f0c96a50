/** What Sluice is to reach, and whether it did. */
import { summarize, type Sample } from '../../support/compare.ts';
import { sluice } from '../../support/peers/sluice.ts';

/** Of CPU time per request, as a share of another's. */
export interface Goal {
  /** Contender that is to reach it. Default: the one that is called Sluice. */
  readonly who?: string;
  readonly against: string;
  readonly atMost: number;
  /** Better still. */
  readonly aim?: number;
}

/** `goal for sluice: at most 1.05 x nginx (aim 1.00): 1.02, met` */
export function goalLine(
  { who = sluice.name, against, atMost, aim }: Goal,
  samples: ReadonlyMap<string, readonly Sample[]>,
): string {
  const own = samples.get(who);
  const baseline = samples.get(against);
  const ratio = own && baseline && summarize(own, baseline).ratio;
  return verdictLine({ who, limit: atMost, aim, reached: ratio, of: ` x ${against}` });
}

export interface Verdict {
  readonly who?: string;
  readonly limit: number;
  readonly aim?: number | undefined;
  /** `undefined` if it was not measured. */
  readonly reached: number | undefined;
  /** What the numbers count: ` x nginx`, ` KB`. */
  readonly of: string;
}

export function verdictLine({ who = sluice.name, limit, aim, reached, of }: Verdict): string {
  const wanted = `goal for ${who}: at most ${limit.toFixed(2)}${of}`;
  const better = aim === undefined ? '' : ` (aim ${aim.toFixed(2)})`;
  if (reached === undefined) return `${wanted}${better}: not measured\n`;
  return `${wanted}${better}: ${reached.toFixed(2)}, ${reached <= limit ? 'met' : 'missed'}\n`;
}

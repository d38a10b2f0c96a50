/**
 * Compares servers that are all up at once: they are measured in turn, round
 * after round, so that whatever else happens on the machine happens to all.
 *
 * Ratios are taken within a round and only then reduced to their median: a slow
 * minute slows both sides of a ratio, but only one of two separate medians.
 */

export interface Sample {
  readonly requests: number;
  /** How long the load ran. */
  readonly seconds: number;
  /** Of all processes of the server. */
  readonly cpuNs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Anything but an answer below 400. */
  readonly errors: number;
}

export interface Summary {
  readonly cpuUsPerRequest: number;
  /** Highest less lowest CPU per request, as a share of the median. */
  readonly spread: number;
  /** CPU per request, as a multiple of the baseline's; `undefined` without a baseline. */
  readonly ratio: number | undefined;
  readonly requestsPerSecond: number;
  /** Share of one core that the server used. */
  readonly busy: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** In all rounds together. */
  readonly errors: number;
}

/** The samples of each contender, by name, one per round. The first round warms up and is dropped. */
export async function roundRobin<C extends { readonly name: string }, S>(
  contenders: readonly C[],
  repetitions: number,
  measure: (contender: C, round: number) => Promise<S>,
): Promise<ReadonlyMap<string, readonly S[]>> {
  const samples = new Map<string, S[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= repetitions; round++) {
    for (const contender of contenders) {
      const sample = await measure(contender, round);
      if (round > 0) samples.get(contender.name)?.push(sample);
    }
  }
  return samples;
}

/** @param baseline samples of the same rounds */
export function summarize(
  samples: readonly Sample[],
  baseline: readonly Sample[] | undefined,
): Summary {
  const cpu = samples.map(cpuUs);
  const ratios = baseline?.map((sample, round) => (cpu[round] ?? Number.NaN) / cpuUs(sample));
  return {
    cpuUsPerRequest: median(cpu),
    spread: spread(cpu),
    ratio: ratios === undefined ? undefined : median(ratios),
    requestsPerSecond: median(samples.map(({ requests, seconds }) => requests / seconds)),
    busy: median(samples.map(({ cpuNs, seconds }) => cpuNs / 1e9 / seconds)),
    p50Ms: median(samples.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(samples.map(({ p99Ms }) => p99Ms)),
    errors: samples.reduce((sum, { errors }) => sum + errors, 0),
  };
}

function cpuUs({ cpuNs, requests }: Sample): number {
  return cpuNs / 1e3 / requests;
}

/** Highest less lowest, as a share of the median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/** The mean of the middle two, where there are two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper;
}

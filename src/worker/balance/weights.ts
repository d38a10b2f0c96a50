/** Weights, as algorithms need them. */
import type { Candidate } from './selection.ts';

/**
 * The weights as small as they can be in the same proportion: divided by what
 * they have in common and, if they still sum up to more than `limit`, scaled
 * down to about that. Nobody gets less than 1.
 */
export function reduced(candidates: readonly Candidate[], limit: number): number[] {
  const weights = candidates.map(({ weight }) => weight);
  const common = weights.every(Number.isInteger) ? weights.reduce(greatestCommonDivisor) : 1;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const scale = Math.min(1 / common, limit / total);
  return weights.map((weight) => Math.max(1, Math.round(weight * scale)));
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}

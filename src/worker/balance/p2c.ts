/** Power of two choices: of two peers drawn by chance, the one with fewer requests under way for its weight. */
import type { Candidate, Selection } from './selection.ts';
import { TwoDraws } from './two-draws.ts';

export function p2c(): Selection {
  return {
    name: 'p2c',
    byKey: false,
    build: (candidates) => new TwoDraws(candidates, isLessLoaded),
  };
}

function isLessLoaded(one: Candidate, other: Candidate): boolean {
  return one.inFlight * other.weight < other.inFlight * one.weight;
}

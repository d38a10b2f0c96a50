/**
 * How the next peer is chosen. Pure: an algorithm sees candidates and their
 * weights, never connections or health; who may be chosen is decided before.
 */
export interface Candidate {
  /** Share of the traffic relative to the others; 0 takes no new traffic. */
  readonly weight: number;
}

/** Chooses among `candidates`, which are never empty and all have a weight above 0. */
export type Select = <C extends Candidate>(candidates: readonly C[]) => C;

/** Makes a selection with state of its own, so that two balancers do not disturb each other. */
export type Selection = () => Select;

/**
 * Smooth weighted round robin: with weights 2 and 1 the order is a, b, a and not
 * a, a, b, so a heavy peer gets no bursts. A worker starts at a random place, or
 * all workers would send their first requests to the same peer.
 */
export function roundRobin(): Selection {
  return () => {
    const credit = new WeakMap<Candidate, number>();
    return (candidates) => {
      if (candidates.length === 1) return candidates[0]!;
      let total = 0;
      let chosen = candidates[0]!;
      let most = Number.NEGATIVE_INFINITY;
      for (const candidate of candidates) {
        const known = credit.get(candidate) ?? Math.random() * candidate.weight;
        const earned = known + candidate.weight;
        credit.set(candidate, earned);
        total += candidate.weight;
        if (earned <= most) continue;
        most = earned;
        chosen = candidate;
      }
      credit.set(chosen, most - total);
      return chosen;
    };
  };
}

/** Each request for itself, in proportion to the weights. */
export function random(): Selection {
  return () => (candidates) => {
    let total = 0;
    for (const { weight } of candidates) total += weight;
    let ticket = Math.random() * total;
    for (const candidate of candidates) {
      ticket -= candidate.weight;
      if (ticket < 0) return candidate;
    }
    return candidates[candidates.length - 1]!;
  };
}

/** Balancers, limiters and metrics have names that are unique in a process; each test wants its own. */
import { forgetMetric, programMetrics } from '../../shared/metrics/program.ts';
import { allBalancers, forgetBalancer } from '../../worker/balance/load-balancer.ts';
import { allLimiters, forgetLimiter } from '../../worker/limits/rate-limiter.ts';

/** @returns frees the names of all that have been built since */
export function noteNames(): () => void {
  const before = new Set<unknown>([...allBalancers(), ...allLimiters(), ...programMetrics()]);
  const since = <Named>(all: readonly Named[]) => all.filter((each) => !before.has(each));
  return () => {
    since(allBalancers()).forEach(forgetBalancer);
    since(allLimiters()).forEach(forgetLimiter);
    since(programMetrics()).forEach(forgetMetric);
  };
}

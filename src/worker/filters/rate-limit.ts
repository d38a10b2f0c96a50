/**
 * Refuses a request whose client has used up its allowance. It runs before
 * authentication, so that guessing keys is limited too.
 */
import type { RateLimiter } from '../limits/rate-limiter.ts';
import type { Session } from '../proxy/session.ts';
import type { Filter } from './filter.ts';

export interface RateLimitOptions {
  readonly limiter: RateLimiter;
  /** Whose allowance the request spends. */
  readonly keyOf: (session: Session) => string;
}

export function rateLimit({ limiter, keyOf }: RateLimitOptions): Filter {
  return {
    name: 'rate-limit-address',

    requestFilter(session) {
      // The request that it is made for has spent what that costs.
      if (session.parent !== undefined) return undefined;
      const { allowed, retryAfterMs } = limiter.check(keyOf(session));
      if (allowed) {
        session.figures.limitAllowed();
        return undefined;
      }
      session.figures.limitRefused();
      return session.respondError(429, { 'retry-after': retryAfter(retryAfterMs) });
    },
  };
}

/** Whole seconds, rounded up: a client that came back early would only be refused again. */
function retryAfter(waitMs: number): string {
  return String(Math.max(1, Math.ceil(waitMs / 1000)));
}

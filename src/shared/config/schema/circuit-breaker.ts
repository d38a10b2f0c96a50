/** How much an upstream is given to do at a time. */
import * as z from 'zod';
import { duration } from '../kinds.ts';

export const circuitBreaker = z.strictObject({
  max_requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .describe('Requests to the upstream that may be under way at a time, over all workers.'),
  max_pending: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(1_024)
    .describe(
      'Requests that may wait for one of them to end, over all workers; further ones are a 503 at once. 0: none waits.',
    ),
  pending_timeout: duration({ min: '1ms', max: '1m' })
    .default(1_000)
    .describe('How long one may wait; then it is a 503.'),
});

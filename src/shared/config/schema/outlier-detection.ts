/** When peers are left alone because requests to them fail. */
import * as z from 'zod';
import { duration } from '../kinds.ts';

export const outlierDetection = z
  .strictObject({
    consecutive_failures: z
      .int()
      .min(0)
      .max(1_000)
      .default(5)
      .describe(
        'Requests in a row that a peer did not answer, or not to the end, after which it is ejected. 0: that is no reason.',
      ),
    consecutive_5xx: z
      .int()
      .min(0)
      .max(1_000)
      .default(0)
      .describe(
        'Responses in a row with a status of 500 or above, after which it is ejected. 0: that is no reason. Whoever knows a request that every peer answers with 500 can have peers ejected.',
      ),
    base_ejection_time: duration({ min: '1s', max: '1d' })
      .default(30_000)
      .describe(
        'How long it gets no requests the first time; the second time twice as long, and so on. For every such time that it serves, one ejection is forgiven.',
      ),
    max_ejection_time: duration({ min: '1s', max: '1d' })
      .default(300_000)
      .describe('The longest ejection.'),
    max_ejection_percent: z
      .int()
      .min(0)
      .max(100)
      .default(10)
      .describe(
        'Of the peers of the upstream, so many are ejected at a time, but one in any case. The last one that serves never is.',
      ),
  })
  .refine((given) => given.max_ejection_time >= given.base_ejection_time, {
    path: ['max_ejection_time'],
    error: 'expected at least "base_ejection_time"',
  });

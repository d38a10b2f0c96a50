/** How peers are probed. */
import * as z from 'zod';
import { duration } from '../kinds.ts';

export const healthCheck = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('tcp').describe('A peer is healthy if it accepts a TCP connection.'),
    interval: duration({ min: '100ms', max: '1h' })
      .default(5_000)
      .describe(
        'Between two probes of a peer, up to 10 % sooner or later. One worker probes for all.',
      ),
    timeout: duration({ min: '10ms', max: '1m' })
      .default(1_000)
      .describe('A probe that takes longer has failed.'),
    consecutive_success: z
      .int()
      .min(1)
      .max(100)
      .default(1)
      .describe('Successes in a row before an ill peer is used again.'),
    consecutive_failure: z
      .int()
      .min(1)
      .max(100)
      .default(1)
      .describe('Failures in a row before a peer is left alone.'),
  }),
]);

/** How much of something one may have. */
import * as z from 'zod';
import { rate } from '../kinds.ts';

export const rateLimit = z
  .strictObject({
    key: z.enum(['client_ip']).default('client_ip').describe('Whose allowance a request spends.'),
    rate: rate.describe(
      'How many on average: `10/s`, `600/m`, `100/h`, `5000/d`. One limit for all workers.',
    ),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe('How many at once. Default: what the rate allows in a second, and at least 1.'),
    max_keys: z
      .int()
      .min(1_024)
      .max(16_777_216)
      .default(65_536)
      .describe('Keys that can be told apart at a time; it fixes the memory, 28 bytes each.'),
  })
  .transform((limit) => ({
    ...limit,
    burst: limit.burst ?? Math.max(1, Math.ceil((limit.rate.count * 1_000) / limit.rate.perMs)),
  }));

/** How much of something one may have. */
import * as z from 'zod';
import { cidr, limitKey, method as methodName, rate } from '../kinds.ts';

const MAX_BURST = 1_000_000;

const limit = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, {
        error: ({ input }) =>
          `expected a name of up to 64 letters, digits, "_", "-" and ".", got ${JSON.stringify(input)}`,
      })
      .optional()
      .describe('In metrics, the log and the `RateLimit` fields. Default: its place in the list.'),
    key: limitKey
      .default([{ kind: 'client_ip' }])
      .describe(
        'Whose allowance a request spends: `client_ip`, `host`, `path`, `uri`, `method`, `header:NAME`, `cookie:NAME`, or a list of them for each combination. A request without the header or cookie counts by its client’s address.',
      ),
    ipv6_prefix: z
      .int()
      .min(16)
      .max(128)
      .default(64)
      .describe('So many bits of an IPv6 address tell clients apart.'),
    method: z
      .union([methodName, z.array(methodName).min(1)], {
        error: ({ input }) =>
          `expected a method such as "GET", or a list of them, got ${JSON.stringify(input)}`,
      })
      .optional()
      .describe('Limits only requests with this method, or one of these.'),
    rate: rate.describe(
      'How many on average: `10/s`, `600/m`, `100/h`, `5000/d`. One limit for all workers.',
    ),
    burst: z
      .int()
      .min(1)
      .max(MAX_BURST)
      .optional()
      .describe('How many at once. Default: what the rate allows in a second, and at least 1.'),
    cost: z.int().min(1).max(MAX_BURST).default(1).describe('A request counts as so many.'),
    max_keys: z
      .int()
      .min(1_024)
      .max(16_777_216)
      .default(65_536)
      .describe('Keys that can be told apart at a time; it fixes the memory, 28 bytes each.'),
    exempt: z
      .array(cidr)
      .max(1_000)
      .default([])
      .describe('Addresses and ranges of clients that are not limited.'),
    exempt_keys: z
      .array(z.string().min(1))
      .max(1_000)
      .default([])
      .describe('Values of the key, or of a part of it, that are not limited.'),
    dry_run: z
      .boolean()
      .default(false)
      .describe('Only counts and logs what it would refuse: for a new limit on live traffic.'),
    status: z.int().min(400).max(599).default(429).describe('Of the refusal.'),
    body: z.string().optional().describe('Of the refusal, as text. Default: words for the status.'),
    fields: z
      .boolean()
      .default(false)
      .describe('Tells clients how they stand, in `RateLimit` and `RateLimit-Policy`.'),
  })
  .transform(({ method, ...rest }) => ({
    ...rest,
    ...(method !== undefined && { methods: typeof method === 'string' ? [method] : method }),
    burst:
      rest.burst ??
      Math.min(MAX_BURST, Math.max(1, Math.ceil((rest.rate.count * 1_000) / rest.rate.perMs))),
  }));

export const rateLimit = limit.refine(({ cost, burst }) => cost <= burst, {
  path: ['cost'],
  error: 'expected no more than "burst", or no request would ever pass',
});

export const rateLimits = z
  .array(rateLimit)
  .min(1)
  .max(16)
  .refine(
    (limits) => new Set(limits.map(({ name }, nth) => name ?? String(nth))).size === limits.length,
    {
      error: 'expected a name of its own for each limit',
    },
  );

/** How peers are probed. */
import * as z from 'zod';
import { duration, headerValue, method, token } from '../kinds.ts';

/** Of every kind of check. */
const common = {
  interval: duration({ min: '100ms', max: '1h' })
    .default(5_000)
    .describe(
      'Between two probes of a peer, up to 10 % sooner or later. One worker probes for all, at most 64 peers at a time.',
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
  port: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      'Where probes go. Default: the peer’s own port. Not for peers on Unix sockets, which have none.',
    ),
};

const STATUSES = /^[1-5]\d\d(-[1-5]\d\d)?$/;

const statuses = z
  .union([z.int().min(100).max(599), z.string().regex(STATUSES)], {
    error: ({ input }) =>
      `expected a status such as 200 or a range such as "200-399", got ${JSON.stringify(input)}`,
  })
  .refine((given) => isAscending(String(given)), {
    error: ({ input }) =>
      `expected a range that ascends, such as "200-399", got ${JSON.stringify(input)}`,
  });

function isAscending(given: string): boolean {
  const [from, to = from] = given.split('-');
  return Number(from) <= Number(to);
}

/** Stays text: workers get their settings as JSON. */
const pattern = z.string().superRefine((source, context) => {
  const wrong = whyNoPattern(source);
  if (wrong !== undefined)
    context.addIssue({ code: 'custom', message: `expected a regular expression: ${wrong}` });
});

function whyNoPattern(source: string): string | undefined {
  try {
    return void RegExp(source, 'm');
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

const tcp = z.strictObject({
  type: z
    .literal('tcp')
    .describe(
      'A peer is healthy if it accepts a TCP connection and, where the upstream has `tls`, the handshake succeeds.',
    ),
  ...common,
});

const http = z
  .strictObject({
    type: z
      .literal('http')
      .describe(
        'A peer is healthy if it answers a request as it should, over TLS where the upstream has `tls`.',
      ),
    ...common,
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, {
        error: ({ input }) =>
          `expected a path that begins with /, without blanks, got ${JSON.stringify(input)}`,
      })
      .default('/')
      .describe('Path and query of the request.'),
    method: method
      .refine((given) => given !== 'CONNECT' && given !== 'TRACE', {
        error: ({ input }) => `expected any but CONNECT and TRACE, got ${JSON.stringify(input)}`,
      })
      .default('GET')
      .describe('The request has no body.'),
    host: z
      .string()
      .regex(/^[\x21-\x7e]+$/, {
        error: ({ input }) =>
          `expected a name such as "api.internal", got ${JSON.stringify(input)}`,
      })
      .optional()
      .describe('The `Host` field. Default: the peer’s address.'),
    headers: z
      .record(token, headerValue)
      .optional()
      .describe(
        'Further fields. Probes say `User-Agent: sluice-health-check` unless there is one here.',
      ),
    statuses: z
      .array(statuses)
      .min(1)
      .max(100)
      .default(['200-399'])
      .describe('Statuses of a peer that is well.'),
    body: z
      .string()
      .min(1)
      .optional()
      .describe('Text that must be in the body, of which the first 64 KiB are read.'),
    body_pattern: pattern
      .optional()
      .describe(
        'Regular expression of JavaScript that must match in the body, in place of `body`; ^ and $ are ends of lines.',
      ),
    keep_alive: z
      .boolean()
      .default(false)
      .describe(
        'Keeps the connection for the next probe. Otherwise making one is part of being well.',
      ),
  })
  .refine(({ body, body_pattern }) => body === undefined || body_pattern === undefined, {
    error: 'expected either "body" or "body_pattern"',
  })
  .refine(
    ({ method: asked, body, body_pattern }) =>
      asked !== 'HEAD' || (body === undefined && body_pattern === undefined),
    { error: 'an answer to HEAD has no body: expected another "method", or neither body' },
  );

export const healthCheck = z.discriminatedUnion('type', [tcp, http]);

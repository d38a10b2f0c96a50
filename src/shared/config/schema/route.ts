/** Which requests, and what is done with them. */
import * as z from 'zod';
import { headerValue, method as methodName, token } from '../kinds.ts';
import { paths } from './connection.ts';
import { rateLimit, rateLimits } from './rate-limit.ts';

const headerEdits = z.strictObject({
  set: z
    .record(token, headerValue)
    .optional()
    .describe('One field of that name, in place of those there are.'),
  add: z.record(token, headerValue).optional().describe('One more field of that name.'),
  remove: z.array(token).optional().describe('No field of that name.'),
});

export const route = z
  .strictObject({
    match: z
      .strictObject({
        host: z
          .string()
          .min(1)
          .optional()
          .describe('`api.example.com`, or `*.example.com` for every name below it.'),
        path: z
          .string()
          .startsWith('/', {
            error: ({ input }) => `expected a path such as "/v1/*", got ${JSON.stringify(input)}`,
          })
          .optional()
          .describe('`/a` for just that, `/a/*` for everything below.'),
        method: z
          .union([methodName, z.array(methodName).min(1)], {
            error: ({ input }) =>
              `expected a method such as "GET", or a list of them, got ${JSON.stringify(input)}`,
          })
          .optional()
          .describe('One method or several.'),
      })
      .transform(({ method, ...rest }) => ({
        ...rest,
        ...(method !== undefined && { methods: typeof method === 'string' ? [method] : method }),
      }))
      .optional()
      .describe('All conditions must hold; without any, every request matches.'),
    auth: z
      .strictObject({
        api_key: z
          .strictObject({
            header: token.default('x-api-key').describe('Where the key is looked for.'),
            keys: z
              .array(z.string().min(1))
              .min(1)
              .describe('Keys that are let in. Take them from the environment: `$API_KEY`.'),
          })
          .describe('Lets a request pass only with one of some keys in a header; otherwise a 401.'),
      })
      .optional()
      .describe('Who may pass.'),
    rate_limit: rateLimit.optional().describe('How often one may come.'),
    rate_limits: rateLimits
      .optional()
      .describe('Several limits; a request that one of them refuses spends nothing of the others.'),
    request_headers: headerEdits
      .optional()
      .describe(
        'Changes to requests on their way to the peer. Fields of a client that differ from one named here only in `-` and `_` are dropped.',
      ),
    response_headers: headerEdits
      .optional()
      .describe('Changes to responses on their way to the client.'),
    paths: paths.optional().describe('As `paths` of the service, for this route only.'),
    upstream: z.string().optional().describe('The upstream that answers.'),
    respond: z
      .strictObject({
        status: z.int().min(200).max(599).describe('Of the answer.'),
        headers: z.record(token, headerValue).optional().describe('Of the answer.'),
        body: z.string().optional().describe('Sent as UTF-8.'),
      })
      .optional()
      .describe('An answer without an upstream.'),
  })
  .refine(
    ({ rate_limit: one, rate_limits: several }) => one === undefined || several === undefined,
    {
      error: 'expected either "rate_limit" or "rate_limits"',
    },
  )
  .refine(({ upstream: name, respond }) => (name === undefined) !== (respond === undefined), {
    error: 'expected either "upstream" or "respond"',
  });

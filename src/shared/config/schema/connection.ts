/** What a client’s connection and its requests may do, and how long. */
import * as z from 'zod';
import { cidr, duration, size } from '../kinds.ts';

export const paths = z.array(
  z.enum(['encoded_slash', 'encoded_backslash', 'encoded_nul', 'encoded_dots']),
);

export const connectionSchema = z.object({
  limits: z
    .strictObject({
      max_target: size({ min: '64B', max: '64KiB' })
        .default(8 * 1024)
        .describe('Longest request target; a longer one is a 414.'),
      max_head: size({ min: '256B', max: '1MiB' })
        .default(32 * 1024)
        .describe('Longest request head; a longer one is a 431.'),
      max_headers: z
        .int()
        .min(1)
        .max(1_000)
        .default(100)
        .describe('Most header fields of a request; more are a 431.'),
      max_body: size({ min: '0B', max: '1024TiB' })
        .default(100 * 1024 * 1024)
        .describe('Longest request body; a longer one is a 413.'),
      min_rate: size({ min: '0B', max: '1MiB' })
        .default(240)
        .describe(
          'Bytes per second that a client must send of a body, and take of a response, on average and after the first 5 s; a slower one is cut. 0 waits for ever.',
        ),
      max_requests: z
        .int()
        .min(1)
        .max(1_000_000_000)
        .default(10_000)
        .describe('Requests on one connection; the last answer says that it closes.'),
      max_connections: z
        .int()
        .min(1)
        .max(10_000_000)
        .optional()
        .describe(
          'Client connections per worker; beyond it the longest idle one makes room, and if none is idle the new one is closed. Default: what the limit on open files allows.',
        ),
      max_connections_per_client: z
        .int()
        .min(1)
        .max(10_000_000)
        .default(1_024)
        .describe(
          'Connections per client address and worker; further ones are closed. Trusted proxies may have any number.',
        ),
    })
    .prefault({}),
  timeouts: z
    .strictObject({
      tls_handshake: duration({ min: '1s', max: '10m' })
        .default(10_000)
        .describe('From accept to the end of the TLS handshake; then the connection is closed.'),
      request_head: duration({ min: '1s', max: '10m' })
        .default(10_000)
        .describe('From the first byte of a request to the end of its head; then it is a 408.'),
      request_body: duration({ min: '1s', max: '1h' })
        .default(30_000)
        .describe('Between two reads of a request body; then it is a 408.'),
      response_write: duration({ min: '1s', max: '1h' })
        .default(30_000)
        .describe('For the client to take what was written; then it is cut.'),
      tunnel_idle: duration({ min: '1s', max: '7d' })
        .default(3_600_000)
        .describe(
          'How long a WebSocket, or another connection after a 101, may stand without a byte in either direction.',
        ),
      keep_alive: duration({ min: '1s', max: '1h' })
        .default(60_000)
        .describe('Between two requests of a connection.'),
      phase: duration({ min: '1ms', max: '1h' })
        .default(30_000)
        .describe('For a phase of a program that returns a promise; then it is a 504.'),
      request: duration({ min: '1ms', max: '1d' })
        .optional()
        .describe(
          'For the response to begin, from the start of the request and over all attempts; then it is a 504. Default: no bound beyond those of the single waits.',
        ),
    })
    .prefault({}),
  retry: z
    .strictObject({
      statuses: z
        .array(z.int().min(400).max(599))
        .max(200)
        .default([])
        .describe(
          'Responses with these statuses are thrown away and the request is sent again, if its method is idempotent, an attempt is left (`max_retries`), and the budget allows it.',
        ),
      closed: z
        .boolean()
        .default(false)
        .describe(
          'Requests with an idempotent method to which a peer has said nothing before it closed the connection are sent again, within the budget. A peer that restarts then costs nobody an answer; but a request that brings a peer down reaches others.',
        ),
      budget_percent: z
        .int()
        .min(0)
        .max(100)
        .default(20)
        .describe(
          'Retries because of a status, or because a phase asks for them, that may run at the same time: a share of the requests that the worker is serving. Retries after a failed connection cost no peer any work and are not counted.',
        ),
      min_concurrent: z
        .int()
        .min(0)
        .max(10_000)
        .default(3)
        .describe('So many of them may run in any case, however few requests there are.'),
      back_off: duration({ min: '1ms', max: '1m' })
        .default(25)
        .describe(
          'Longest pause before the first of them; it doubles with each, and the pause is a random part of it.',
        ),
      max_back_off: duration({ min: '1ms', max: '1m' })
        .default(250)
        .describe('The longest pause of all.'),
    })
    .prefault({})
    .describe('When a request is sent again although a peer has answered, and how often.'),
  paths: paths
    .default([])
    .describe(
      'Spellings of a path that are passed on although some peers read them as a different path: `encoded_slash` (%2F), `encoded_backslash` (%5C), `encoded_nul` (%00), `encoded_dots` (%2E%2E).',
    ),
  forwarded: z
    .boolean()
    .default(false)
    .describe('Sends `Forwarded` (RFC 7239) upstream, besides X-Forwarded-For, -Proto and -Host.'),
  via: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, {
      error: ({ input }) =>
        `expected a name of letters, digits, "_", "-" and ".", got ${JSON.stringify(input)}`,
    })
    .default('sluice')
    .describe('Our name in the `Via` field of requests; `off` adds none.'),
  trusted_proxies: z
    .array(cidr)
    .max(1_000)
    .default([])
    .describe(
      'Addresses and ranges whose X-Forwarded-*, X-Real-IP and Forwarded fields are believed. From anybody else they are dropped or overwritten.',
    ),
  client_ip_field: z
    .enum(['x-forwarded-for', 'forwarded', 'x-real-ip'])
    .default('x-forwarded-for')
    .describe(
      'Where trusted proxies say who the client is. Name the field that they set or extend themselves; the others may be what a client wrote.',
    ),
});

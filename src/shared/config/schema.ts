/**
 * Every setting, defined once: its kind, default, range and text. The types,
 * the checks and their messages come from here.
 */
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import {
  cidr,
  duration,
  fileMode,
  headerValue,
  ipv4,
  ipv6,
  listenPlace,
  method as methodName,
  peerAddress,
  rate,
  requestKey,
  size,
  token,
  type Address,
  type UnixPath,
} from './kinds.ts';
import { DEFAULT_UNIX_MODE, showPlace, type Place } from '../ipc/place.ts';
import type { IdentityFiles } from '../tls/pem-files.ts';

const path = z.string().min(1);

/** After every priority that one would give. */
const BACKUP_PRIORITY = 1_000;

export const peer = z
  .union(
    [
      z.string(),
      z.strictObject({
        address: z.string(),
        weight: z.int().min(0).max(1_000).optional(),
        priority: z.int().min(0).max(BACKUP_PRIORITY).optional(),
        backup: z.boolean().optional(),
      }),
    ],
    {
      error: ({ input }) =>
        `expected "host:port", "unix:/path" or { address, weight, priority, backup }, got ${JSON.stringify(input)}`,
    },
  )
  .transform((given): unknown => (typeof given === 'string' ? { address: given } : given))
  .pipe(
    z.object({
      address: peerAddress,
      weight: z.number().default(1),
      priority: z.number().optional(),
      backup: z.boolean().default(false),
    }),
  )
  .refine(({ priority, backup }) => !backup || priority === undefined, {
    error: 'expected either "priority" or "backup"',
  })
  .transform(
    ({ address, weight, backup, priority = backup ? BACKUP_PRIORITY : 0 }): PeerSettings => ({
      ...address,
      weight,
      priority,
    }),
  );

export type PeerSettings = (Address | UnixPath) & {
  readonly weight: number;
  readonly priority: number;
};

const pool = z.strictObject({
  max_idle: z
    .int()
    .min(0)
    .max(10_000)
    .default(64)
    .describe(
      'Idle connections kept per peer and worker. 0 opens a new connection for every request.',
    ),
  idle_timeout: duration({ min: '1s', max: '1h' })
    .default(60_000)
    .describe(
      'Closes a connection that has been idle this long. Keep it below the peer’s own keep-alive timeout, or requests will meet connections the peer is closing.',
    ),
  pipelining: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      'How many requests may be under way on one connection, sent without waiting for answers; 1 is off. Only for requests without a body that may be sent twice. Pays where Sluice is the bottleneck and the peer answers everything equally fast: a slow answer delays all behind it.',
    ),
});

const healthCheck = z.discriminatedUnion('type', [
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

const PEER_NAME = /^[A-Za-z0-9_.:-]{1,253}$/;

const notAName = (input: unknown) =>
  `expected a name such as "api.internal", got ${JSON.stringify(input)}`;

export const upstreamTls = z
  .strictObject({
    sni: z
      .string()
      .regex(PEER_NAME, { error: ({ input }) => notAName(input) })
      .optional()
      .describe(
        'Name that the peer is asked for and that its certificate must be for. An IP address is not sent, only verified. Default: the peer’s name or address.',
      ),
    alternative_name: z
      .string()
      .regex(PEER_NAME, { error: ({ input }) => notAName(input) })
      .optional()
      .describe('One more name that the certificate may be for.'),
    ca: path
      .optional()
      .describe(
        'PEM file of the authorities that are believed, and no others. Default: `ca_file`; without one, the authorities that Node.js brings along.',
      ),
    system_certs: z
      .boolean()
      .default(false)
      .describe(
        'Believes the authorities of the operating system: besides `ca` or `ca_file`, or in place of those of Node.js.',
      ),
    verify: z
      .enum(['full', 'ca', 'off'])
      .default('full')
      .describe(
        '`full`: an authority vouches for the certificate, and it is for the right name; `ca`: the name may be another; `off`: anybody can pretend to be the peer, and a warning at every start says so.',
      ),
    cert: path
      .optional()
      .describe('PEM file of the certificate, with its chain, that we show to the peer.'),
    key: path.optional().describe('PEM file of its private key.'),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    error: 'expected "cert" and "key" together',
  });

const tcpKeepalive = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'Lets the kernel find out that the other end of a connection is gone without a word.',
    ),
  idle: duration({ min: '1s', max: '9h' })
    .default(60_000)
    .describe('Of silence, before it asks for the first time.'),
  interval: duration({ min: '1s', max: '9h' })
    .default(10_000)
    .describe('Between two questions. Node.js 24 asks every second.'),
  count: z
    .int()
    .min(1)
    .max(100)
    .default(5)
    .describe('Questions without an answer, after which it gives up. Node.js 24 asks ten times.'),
});

export const upstreamProxy = z
  .strictObject({
    address: peerAddress
      .transform(showPlace)
      .describe('Where it listens, in the clear: `host:port` or `unix:/path`.'),
    username: z
      .string()
      .regex(/^[^:]+$/, { error: 'expected a name without ":"' })
      .optional()
      .describe('Who we are, as `Proxy-Authorization: Basic`.'),
    password: z.string().optional().describe('Take it from the environment: `$PROXY_PASSWORD`.'),
    headers: z.record(token, headerValue).optional().describe('Further fields of each CONNECT.'),
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    error: 'expected "username" and "password" together',
  });

const upstream = z
  .strictObject({
    balance: z
      .enum(['round_robin', 'random', 'consistent', 'fnv_hash', 'maglev'])
      .default('round_robin')
      .describe(
        'How a peer is chosen for each request: in turn, by chance, or by a hash of `hash_key`, so that equal keys go to the same peer. `consistent` is the ring of nginx’s `hash … consistent`, key for key; `maglev` spreads more evenly; `fnv_hash` is for peers that never change.',
      ),
    hash_key: requestKey
      .optional()
      .describe(
        'Of `consistent`, `fnv_hash` and `maglev`: `client_ip`, `host`, `path`, `uri` (path and query), `header:NAME` or `cookie:NAME`. A request without that header or cookie goes by its client’s address. Default: `client_ip`.',
      ),
    peers: z
      .array(peer)
      .min(1)
      .describe(
        'Addresses, `host:port` or `unix:/path`, or `{ address, weight, priority, backup }`; weight 0 takes no new traffic. Peers of a higher `priority` get traffic only while none of a lower one may be used; `backup: true` is the highest. Default: 0.',
      ),
    panic_threshold: z
      .int()
      .min(0)
      .max(100)
      .default(0)
      .describe(
        'While fewer than so many percent of the peers of one priority are healthy, all of them are used: the few would be overrun, and more likely the probes are wrong. 0 is never.',
      ),
    slow_start: duration({ min: '0ms', max: '1h' })
      .default(0)
      .describe(
        'A peer that was ill gets its share back little by little over this time. `0ms`: at once.',
      ),
    health_check: healthCheck.optional().describe('Without one, every peer counts as healthy.'),
    connect_timeout: duration({ min: '1ms', max: '10m' })
      .default(5_000)
      .describe(
        'For each step of a connection: until it is made, until the proxy on the way has answered, until the TLS handshake is over. Then another peer is tried.',
      ),
    total_connect_timeout: duration({ min: '1ms', max: '10m' })
      .default(10_000)
      .describe('For all steps together.'),
    read_timeout: duration({ min: '1ms', max: '1d' })
      .default(60_000)
      .describe(
        'Between two reads from the peer, and for its response to begin. Then the client gets a 504.',
      ),
    write_timeout: duration({ min: '1ms', max: '1d' })
      .default(60_000)
      .describe('For the peer to take what was written of a request body.'),
    pool: pool.prefault({}).describe('Connections kept for the next request.'),
    bind_to_ipv4: ipv4
      .optional()
      .describe('Source address of connections to IPv4 peers. Default: `client_bind_to_ipv4`.'),
    bind_to_ipv6: ipv6
      .optional()
      .describe('Source address of connections to IPv6 peers. Default: `client_bind_to_ipv6`.'),
    tcp_keepalive: tcpKeepalive.prefault({}).describe('Not for peers on Unix sockets.'),
    proxy: upstreamProxy
      .optional()
      .describe('Reaches the peers through a proxy that is asked with CONNECT.'),
    tls: upstreamTls
      .optional()
      .describe(
        'Speaks TLS 1.3 or 1.2 with the peers. `{}` is enough for peers with a public name.',
      ),
  })
  .refine(({ balance, hash_key }) => hash_key === undefined || BY_KEY.has(balance), {
    path: ['hash_key'],
    error: 'is for the balances consistent, fnv_hash and maglev',
  });

const BY_KEY: ReadonlySet<string> = new Set(['consistent', 'fnv_hash', 'maglev']);

const paths = z.array(
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
});

const headerEdits = z.strictObject({
  set: z
    .record(token, headerValue)
    .optional()
    .describe('One field of that name, in place of those there are.'),
  add: z.record(token, headerValue).optional().describe('One more field of that name.'),
  remove: z.array(token).optional().describe('No field of that name.'),
});

const route = z
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
    rate_limit: z
      .strictObject({
        key: z
          .enum(['client_ip'])
          .default('client_ip')
          .describe('Whose allowance a request spends.'),
        rate: rate.describe(
          'How many on average: `10/s`, `600/m`, `100/h`. One limit for all workers.',
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
          .describe(
            'Keys that can be told apart at a time; it fixes the memory, 24 to 48 bytes each.',
          ),
      })
      .transform((limit) => ({
        ...limit,
        burst: limit.burst ?? Math.max(1, Math.ceil((limit.rate.count * 1_000) / limit.rate.perMs)),
      }))
      .optional(),
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
  .refine(({ upstream: name, respond }) => (name === undefined) !== (respond === undefined), {
    error: 'expected either "upstream" or "respond"',
  });

export const listener = z
  .preprocess(
    (given) => (typeof given === 'string' ? { address: given } : given),
    z.strictObject({
      address: listenPlace.describe(
        '`127.0.0.1:6188`, `[::1]:6188`, or `unix:/run/sluice.sock`; a value that is only an address may stand for the mapping.',
      ),
      tls: z
        .strictObject({
          cert: path.describe('PEM file of the certificate, followed by its chain.'),
          key: path.describe('PEM file of its private key. Keep it from other users: mode 0600.'),
        })
        .optional()
        .describe('Serves TLS 1.3 and 1.2.'),
      mode: fileMode
        .optional()
        .describe(
          'Permissions of a Unix socket, in quotes: who may write may connect. Default: `"0660"`.',
        ),
    }),
  )
  .superRefine(({ address, tls, mode }, context) => {
    const isUnix = 'path' in address;
    if (isUnix && tls !== undefined) {
      const message = 'is for TCP addresses: a Unix socket does not leave the machine';
      context.addIssue({ code: 'custom', path: ['tls'], message });
    }
    if (!isUnix && mode !== undefined) {
      context.addIssue({ code: 'custom', path: ['mode'], message: 'is for Unix sockets' });
    }
  })
  .transform(({ address, tls, mode }): ListenSettings => ({
    place: 'path' in address ? { ...address, mode: mode ?? DEFAULT_UNIX_MODE } : address,
    ...(tls && { tls }),
  }));

export interface ListenSettings {
  readonly place: Place;
  readonly tls?: IdentityFiles;
}

const service = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9_-]{1,64}$/, { error: 'expected up to 64 of a-z, 0-9, "_" and "-"' })
    .optional()
    .describe('In logs and metrics. Default: `service-1`, by position.'),
  listen: z.array(listener).min(1).describe('Where clients connect to.'),
  ...connectionSchema.shape,
  routes: z
    .array(route)
    .min(1)
    .describe('The first that matches takes the request; if none does, it is a 404.'),
});

export const admin = z
  .strictObject({
    listen: listenPlace
      .describe(
        'Address of the pages: `127.0.0.1:9180`, `[::1]:9180`, or `unix:/run/sluice/admin.sock`, whose file is for the owner and the group that Sluice runs as.',
      )
      .transform((place): Place =>
        'path' in place ? { ...place, mode: DEFAULT_UNIX_MODE } : place,
      ),
    token: z
      .string()
      .regex(/^[\x21-\x7e]{16,512}$/, {
        error:
          'expected 16 to 512 visible characters; take them from the environment: $ADMIN_TOKEN',
      })
      .optional()
      .describe(
        'What a request must show as `Authorization: Bearer`, except for `/healthz` and `/readyz`. Required where other machines can reach the address.',
      ),
  })
  .refine(({ listen, token: secret }) => secret !== undefined || isPrivate(listen), {
    error: 'expected "token": other machines can reach this address',
    path: ['listen'],
  });

/** What other machines cannot reach. */
function isPrivate(place: Place): boolean {
  return 'path' in place || place.host === 'localhost' || /^127\.|^::1$/.test(place.host);
}

export const settingsSchema = z.object({
  version: z
    .literal(1, {
      error: ({ input }) =>
        input === undefined
          ? 'expected "version: 1" at the top of the file'
          : `expected 1, got ${JSON.stringify(input)}`,
    })
    .describe('Of this format; always 1.'),
  threads: z
    .union([z.literal('auto'), z.int().min(1).max(1_024)], {
      error: ({ input }) => `expected "auto" or a whole number, got ${JSON.stringify(input)}`,
    })
    .default('auto')
    .describe('Worker processes; `auto` is one per core.')
    .transform((threads) => (threads === 'auto' ? availableParallelism() : threads)),
  pid_file: path.optional().describe('Where the supervisor writes its process id.'),
  upgrade_sock: path
    .optional()
    .describe(
      'Where a successor started with `-u` waits, and where the running process finds it on SIGQUIT: a Unix socket in a folder that only root or `user` may write to. `sluice upgrade` needs none.',
    ),
  upgrade: z
    .strictObject({
      wait: duration({ min: '1s', max: '1d' })
        .prefault('5m')
        .describe('How long a successor waits for the running process; then it ends.'),
      connect: duration({ min: '1s', max: '1h' })
        .prefault('30s')
        .describe('How long after SIGQUIT the running process looks for a successor.'),
      ready: duration({ min: '1s', max: '1h' })
        .prefault('60s')
        .describe(
          'How long a successor may take until all its workers are ready. After it the running process gives the upgrade up and serves on.',
        ),
    })
    .prefault({}),
  control_sock: path
    .optional()
    .describe(
      'Unix socket for `sluice status`, `reload` and the like. Default: beside `pid_file` or `upgrade_sock`, named after it; without either, in the folder for sockets of the user who starts it.',
    ),
  error_log: path.optional().describe('File of the process log. Default: standard error.'),
  access_log: z
    .string()
    .min(1)
    .default('stdout')
    .describe('`off`, `stdout`, `stderr`, or a file: one line of JSON per request.'),
  daemon: z
    .boolean()
    .default(false)
    .describe(
      'Runs in the background, as with `-d`. Standard output and error go to `error_log`, or nowhere.',
    ),
  daemon_wait_for_ready: z
    .boolean()
    .default(true)
    .describe(
      'Whether the command with `-d` returns only when the process in the background serves, with its reason and exit code 1 if it does not.',
    ),
  daemon_ready_timeout_seconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(60)
    .describe('How long the command with `-d` waits for that; then it ends the process.'),
  user: z.string().min(1).optional().describe('Whom to run as once the sockets are open.'),
  group: z.string().min(1).optional().describe('Default: the user’s primary group.'),
  working_directory: path
    .optional()
    .describe('Where relative paths begin. Default: where it was started.'),
  ca_file: path
    .optional()
    .describe('PEM file of the authorities for TLS to upstreams that name none of their own.'),
  client_bind_to_ipv4: z
    .array(ipv4)
    .max(1)
    .default([])
    .describe('Source address of connections to IPv4 peers.'),
  client_bind_to_ipv6: z
    .array(ipv6)
    .max(1)
    .default([])
    .describe('Source address of connections to IPv6 peers.'),
  upstream_keepalive_pool_size: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(128)
    .describe('Idle upstream connections per worker in all.'),
  max_retries: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('Attempts per request in all, the first included.'),
  grace_period_seconds: z
    .int()
    .min(0)
    .max(86_400)
    .default(25)
    .describe('How long a stopping server waits for running requests, at most.'),
  graceful_shutdown_timeout_seconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(5)
    .describe('How long workers may then take to end.'),
  workers: z
    .strictObject({
      drain_idle: duration({ min: '0s', max: '1h' })
        .default(15_000)
        .describe(
          'How long a worker that is replaced keeps connections without a request, for one that may be on its way. With the next answer it tells the client to close.',
        ),
      start_timeout: duration({ min: '1s', max: '1h' })
        .default(30_000)
        .describe(
          'For a worker to build what it needs, and again to accept; time to wait for services comes on top. Then it is killed, and a start or reload has failed.',
        ),
      stuck_after: duration({ min: '1s', max: '1h' })
        .default(10_000)
        .describe(
          'A worker whose event loop has not turned for so long is killed and replaced: it serves nobody.',
        ),
      max_memory: size({ min: '128MiB', max: '1TiB' })
        .optional()
        .describe(
          'Resident memory above which a worker is replaced, one at a time, and finishes what it has. Default: no bound.',
        ),
      max_age: duration({ min: '1m', max: '365d' })
        .optional()
        .describe('Age at which a worker is replaced in the same way. Default: no bound.'),
      cpu_pinning: z
        .boolean()
        .default(false)
        .describe(
          'Keeps each worker on one CPU of those that the supervisor may use. Worth it where nothing else runs on the machine.',
        ),
    })
    .prefault({})
    .describe('Processes that serve: when they are replaced, and how.'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error'])
        .default('info')
        .describe(
          'Least severe entry that is written. `SLUICE_LOG` in the environment goes first.',
        ),
    })
    .prefault({}),
  admin: admin
    .optional()
    .describe('Metrics, health and status for operators. Keep it off public addresses.'),
  upstreams: z
    .record(
      z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, {
        error: 'expected a name of up to 64 letters, digits, "_", "-" and "."',
      }),
      upstream,
    )
    .default({})
    .describe('Groups of peers, by name.'),
  services: z
    .array(service)
    .default([])
    .describe('What listens, and which route each request takes.')
    .transform((list) =>
      list.map((each, index) => ({ ...each, name: each.name ?? `service-${index + 1}` })),
    ),
});

/** Pingora's keys that have nothing to act on here, and why. */
export const pingoraOnly: Readonly<Record<string, string>> = {
  listener_tasks_per_fd: 'each worker accepts in one loop',
  work_stealing: 'workers are processes and share no tasks',
  upstream_connect_offload_threadpools: 'connecting never blocks a worker',
  upstream_connect_offload_thread_per_pool: 'connecting never blocks a worker',
  upgrade_sock_connect_accept_max_retries: 'the hand-off has its own bound',
  max_blocking_threads: 'there is no pool of blocking threads',
  blocking_threads_ttl_seconds: 'there is no pool of blocking threads',
  daemon_notify_timeout_seconds: 'the process in the background says at once that it is ready',
  upstream_debug_ssl_keylog: 'TLS keys are never logged',
  s2n_config_cache_size: 'TLS comes from Node.js',
};

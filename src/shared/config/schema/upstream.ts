/** A group of peers: how one is chosen, how it is reached, and what is kept for the next request. */
import * as z from 'zod';
import {
  duration,
  filePath,
  headerValue,
  ipv4,
  ipv6,
  peerAddress,
  requestKey,
  token,
  type Address,
  type UnixPath,
} from '../kinds.ts';
import { showPlace } from '../../ipc/place.ts';
import { discovery } from './discovery.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { healthCheck } from './health-check.ts';
import { outlierDetection } from './outlier-detection.ts';

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
        'Name that the peer is asked for and that its certificate must be for. An IP address is not sent, only verified. Default: the name of a discovery by `dns`, or the peer’s name or address.',
      ),
    alternative_name: z
      .string()
      .regex(PEER_NAME, { error: ({ input }) => notAName(input) })
      .optional()
      .describe('One more name that the certificate may be for.'),
    ca: filePath
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
    cert: filePath
      .optional()
      .describe('PEM file of the certificate, with its chain, that we show to the peer.'),
    key: filePath.optional().describe('PEM file of its private key.'),
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

const sticky = z.strictObject({
  secrets: z
    // Not by `min`, whose problem would show the secret.
    .array(
      z.string().refine(({ length }) => length >= 16, { error: 'expected 16 characters or more' }),
    )
    .min(1)
    .max(8)
    .describe(
      'The first one signs, cookies of all are believed: put a new one before the old one, and take that away when its cookies have gone. The same on all hosts. Take them from the environment: `$STICKY_SECRET`.',
    ),
  cookie: token.default('sluice-peer').describe('Its name.'),
  max_age: duration({ min: '1s', max: '365d' })
    .optional()
    .describe('How long browsers keep it. Default: until they are closed.'),
});

export const upstream = z
  .strictObject({
    balance: z
      .enum([
        'round_robin',
        'random',
        'p2c',
        'least_requests',
        'ewma',
        'consistent',
        'fnv_hash',
        'maglev',
      ])
      .default('round_robin')
      .describe(
        'How a peer is chosen for each request: in turn, by chance, by how busy peers are, or by a hash of `hash_key`, so that equal keys go to the same peer. `p2c` takes, of two that chance proposes, the one with fewer requests under way from all workers; `ewma` the one that will probably answer first; `least_requests` the least busy of all. `consistent` is the ring of nginx’s `hash … consistent`, key for key; `maglev` spreads more evenly; `fnv_hash` is for peers that never change.',
      ),
    hash_key: requestKey
      .optional()
      .describe(
        'Of `consistent`, `fnv_hash` and `maglev`: `client_ip`, `host`, `path`, `uri` (path and query), `header:NAME` or `cookie:NAME`. A request without that header or cookie goes by its client’s address. Default: `client_ip`.',
      ),
    sticky: sticky
      .optional()
      .describe(
        'Keeps a client with the peer that answered it first, by a signed cookie, as long as that peer may be used; `balance` is for those that have none. Weight 0 then keeps the clients that a peer has, and gives it no others.',
      ),
    peers: z
      .array(peer)
      .max(4_000)
      .default([])
      .describe(
        'Addresses, `host:port` or `unix:/path`, or `{ address, weight, priority, backup }`; weight 0 takes no new traffic. Peers of a higher `priority` get traffic only while none of a lower one may be used; `backup: true` is the highest. Default: 0.',
      ),
    discovery: discovery
      .optional()
      .describe('Finds peers, besides those that are written down under `peers`, if any are.'),
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
    circuit_breaker: circuitBreaker
      .optional()
      .describe('Bounds the requests to all peers together. Default: no bound.'),
    outlier_detection: outlierDetection
      .prefault({})
      .describe('When a peer is left alone because requests to it fail.'),
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
    proxy_protocol: z
      .enum(['v1', 'v2'])
      .optional()
      .describe(
        'Tells the peers the address of the client in a header of the PROXY protocol, before anything else is sent. Connections are then kept for one connection of one client, and probes at another `port` come without the header. Default: none.',
      ),
    proxy: upstreamProxy
      .optional()
      .describe('Reaches the peers through a proxy that is asked with CONNECT.'),
    tls: upstreamTls
      .optional()
      .describe(
        'Speaks TLS 1.3 or 1.2 with the peers. `{}` is enough for peers with a public name.',
      ),
  })
  .refine(({ peers, discovery: found }) => peers.length > 0 || found !== undefined, {
    path: ['peers'],
    error: 'expected at least 1 entry, or a "discovery"',
  })
  .refine(({ balance, hash_key }) => hash_key === undefined || BY_KEY.has(balance), {
    path: ['hash_key'],
    error: 'is for the balances consistent, fnv_hash and maglev',
  });

const BY_KEY: ReadonlySet<string> = new Set(['consistent', 'fnv_hash', 'maglev']);

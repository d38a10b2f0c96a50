/** Where the peers of an upstream come from, if they are not written down. */
import * as z from 'zod';
import { duration, filePath } from '../kinds.ts';
import { isNameServer } from '../name-server.ts';

const hostName = z.string().regex(/^[A-Za-z0-9_.-]{1,253}$/, {
  error: ({ input }) => `expected a host name such as "api.internal", got ${JSON.stringify(input)}`,
});

const kubernetesName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, {
  error: ({ input }) => `expected a name such as "cart", got ${JSON.stringify(input)}`,
});

const port = z.int().min(1).max(65_535);

const nameServer = z.string().refine(isNameServer, {
  error: ({ input }) =>
    `expected an address such as "10.0.0.53" or "10.0.0.53:5353", got ${JSON.stringify(input)}`,
});

/** Of what asks name servers. */
const dnsServers = {
  servers: z
    .array(nameServer)
    .max(8)
    .optional()
    .describe('Name servers, `address` or `address:port`. Default: those of the system.'),
  timeout: duration({ min: '10ms', max: '1m' })
    .default(2_000)
    .describe('For one try of one server.'),
  tries: z.int().min(1).max(10).default(2).describe('Of each server.'),
};

export const discovery = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z
        .literal('dns')
        .describe(
          'All addresses of a name, asked for again when their time to live is over. An answer without any keeps the last set.',
        ),
      name: hostName.describe(
        'All of it, `api.internal`: neither search domains nor `/etc/hosts` are looked at.',
      ),
      port,
      family: z.enum(['both', 'ipv4', 'ipv6']).default('both'),
      min_ttl: duration({ min: '100ms', max: '1h' })
        .default(1_000)
        .describe('A shorter time to live counts as this one.'),
      max_ttl: duration({ min: '100ms', max: '1d' })
        .default(300_000)
        .describe('A longer time to live counts as this one.'),
      ...dnsServers,
    })
    .refine(({ min_ttl, max_ttl }) => min_ttl <= max_ttl, {
      path: ['max_ttl'],
      error: 'expected it not to be shorter than "min_ttl"',
    }),
  z.strictObject({
    type: z
      .literal('dns_srv')
      .describe(
        'The targets of a service (RFC 2782) with their ports, priorities and weights. An answer without any keeps the last set.',
      ),
    name: hostName.describe('Such as `_http._tcp.api.internal`.'),
    interval: duration({ min: '100ms', max: '1h' })
      .default(10_000)
      .describe('Between two questions: Node.js does not tell the time to live of these records.'),
    ...dnsServers,
  }),
  z.strictObject({
    type: z
      .literal('file')
      .describe(
        'A list of peers as under `peers`, in YAML or JSON. Content that is none keeps the last set; an empty list is one.',
      ),
    path: filePath.describe('Replace it in one step, as `mv` does.'),
    interval: duration({ min: '100ms', max: '1h' })
      .default(1_000)
      .describe('Between two looks at it.'),
  }),
  z.strictObject({
    type: z
      .literal('kubernetes')
      .describe(
        'The pods behind a service, from its EndpointSlices. No pod that serves is an answer, too.',
      ),
    service: kubernetesName,
    namespace: kubernetesName.optional().describe('Default: the pod’s own.'),
    port: z
      .union([port, z.string().min(1).max(63)])
      .optional()
      .describe('Number or name of a port of the pods. Default: the only one.'),
    api_server: z
      .string()
      .refine((text) => URL.parse(text)?.protocol === 'https:', {
        error: ({ input }) => `expected "https://host:port", got ${JSON.stringify(input)}`,
      })
      .optional()
      .describe('`https://host:port`. Default: as Kubernetes tells its pods.'),
    token_file: filePath.optional().describe('Read anew for each request. Default: the pod’s.'),
    ca_file: filePath
      .optional()
      .describe('PEM: authorities that vouch for the API server. Default: the pod’s.'),
  }),
]);

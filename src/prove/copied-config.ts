/**
 * The configuration that is put to the proof: a copy of the operator's, on spare
 * ports of loopback, with the origin of the proof behind it. What decides how
 * connections are treated stays: threads, limits, timeouts, TLS to clients.
 * What would reach beyond the proof does not: peers, files, users.
 */
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../shared/config/load.ts';
import { plainConfig } from '../shared/config/plain.ts';
import { formatProblems } from '../shared/config/problem.ts';
import { PREFIX } from './addresses.ts';
import { ProveFailure } from './failure.ts';
import type { Endpoint } from './wire/connection.ts';

export interface CopyOptions {
  /** The operator's file; without one, a gateway with nothing but the proof's route. */
  readonly conf: string | undefined;
  readonly threads: number | undefined;
  readonly graceSeconds: number;
  /** `host:port` of the proof's origin. */
  readonly origin: string;
  /** For the copy's own files. */
  readonly folder: string;
}

export interface Copy {
  readonly confFile: string;
  /** Writes the file anew, with another number of workers. */
  readonly resize: (threads: number) => void;
  readonly threads: number;
  readonly endpoints: readonly Endpoint[];
  readonly adminPort: number;
  readonly graceMs: number;
}

type Plain = Record<string, unknown>;

const UPSTREAM = 'sluice-prove';

/** @throws {ProveFailure} the file cannot be used, and why */
export async function copyConfig(options: CopyOptions): Promise<Copy> {
  const { conf, threads, graceSeconds, origin, folder } = options;
  const given = conf === undefined ? BARE : readChecked(conf);
  const services = given['services'] as Plain[];
  const addresses = services.flatMap(({ listen }) => listen as unknown[]);
  const [adminPort = 0, ...ports] = await sparePorts(addresses.length + 1);
  const endpoints: Endpoint[] = [];
  const listenOn = (address: unknown): unknown => {
    const copied = moved(address, ports.shift() ?? 0, folder);
    if (copied.endpoint !== undefined) endpoints.push(copied.endpoint);
    return copied.address;
  };
  const copy: Plain = {
    ...without(given, ['user', 'group', 'daemon', 'error_log']),
    ...(threads !== undefined && { threads }),
    pid_file: join(folder, 'sluice.pid'),
    upgrade_sock: join(folder, 'upgrade.sock'),
    control_sock: join(folder, 'control.sock'),
    access_log: 'off',
    admin: { listen: `127.0.0.1:${adminPort}` },
    grace_period_seconds: graceSeconds,
    upstreams: {
      ...copiedUpstreams(given['upstreams'], origin),
      [UPSTREAM]: { peers: [origin] },
    },
    services: services.map((service) => ({
      ...service,
      listen: (service['listen'] as unknown[]).map(listenOn),
      // First, so that no other route, its keys and its limits stand before the proof's requests.
      routes: [
        { match: { path: `${PREFIX}/*` }, upstream: UPSTREAM },
        ...(service['routes'] as Plain[]),
      ],
    })),
  };
  if (endpoints.length === 0)
    throw new ProveFailure(
      `${conf}: no service listens on a TCP address, so there is nothing to prove`,
    );
  const confFile = join(folder, 'conf.yaml');
  const write = (text: object) => writeFileSync(confFile, JSON.stringify(text, undefined, 2));
  write(copy); // JSON is YAML.
  return {
    confFile,
    resize: (count) => write({ ...copy, threads: count }),
    threads: threadsOf(copy['threads']),
    endpoints,
    adminPort,
    graceMs: graceSeconds * 1000,
  };
}

const BARE: Plain = {
  version: 1,
  threads: 2,
  services: [{ name: 'edge', listen: ['127.0.0.1:0'], routes: [] }],
};

function readChecked(conf: string): Plain {
  const loaded = loadConfig(conf, process.env);
  if (!loaded.ok) throw new ProveFailure(formatProblems(loaded.problems, loaded.source));
  return plainConfig(loaded.source);
}

function threadsOf(given: unknown): number {
  return typeof given === 'number' ? given : availableParallelism();
}

/** No peer of the operator's hears anything of the proof. */
function copiedUpstreams(given: unknown, origin: string): Plain {
  const upstreams = Object.entries((given ?? {}) as Record<string, Plain>);
  return Object.fromEntries(
    upstreams.map(([name, upstream]) => [name, { ...without(upstream, ['tls']), peers: [origin] }]),
  );
}

interface Moved {
  readonly address: unknown;
  /** `undefined`: a Unix socket, which no client of ours speaks to. */
  readonly endpoint: Endpoint | undefined;
}

function moved(given: unknown, port: number, folder: string): Moved {
  const listener: Plain = typeof given === 'string' ? { address: given } : (given as Plain);
  if (String(listener['address']).startsWith('unix:'))
    return {
      address: { ...listener, address: `unix:${join(folder, `${port}.sock`)}` },
      endpoint: undefined,
    };
  const host = '127.0.0.1';
  const tls = listener['tls'] !== undefined;
  return { address: { ...listener, address: `${host}:${port}` }, endpoint: { host, port, tls } };
}

/** All at once, so that they differ. The successors need to find the same ones again, so 0 will not do. */
async function sparePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    for (const server of servers)
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    for (const server of servers) server.close();
  }
}

function without(given: Plain, keys: readonly string[]): Plain {
  return Object.fromEntries(Object.entries(given).filter(([key]) => !keys.includes(key)));
}

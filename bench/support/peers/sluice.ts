/** Sluice from the sources of this checkout, with its access log in a file and its metrics on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  launch,
  type RunningServer,
  type ServerKind,
  type StartOptions,
} from './server.ts';

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

export const sluice = sluiceWith('{}');

/** A program with phases: see `phases-program.ts`. */
export function sluiceProgram(phases: 'none' | 'heads' | 'heads and bodies'): ServerKind {
  return {
    ...sluice,
    async start(options: StartOptions) {
      const port = await freePort();
      const conf = (accessLog: string) => `
version: 1
threads: ${options.setup.workers}
admin: { listen: 127.0.0.1:0 }
access_log: ${JSON.stringify(accessLog)}
bench: { listen: "127.0.0.1:${port}", origin: "${options.origin}", phases: ${phases} }
`;
      return start(root('bench/support/peers/phases-program.ts'), conf, port, options);
    },
  };
}

/** @param pool `upstreams.<name>.pool` of its configuration */
export function sluiceWith(pool: string): ServerKind {
  return {
    name: 'sluice',
    missing: () => undefined,
    version: () =>
      (JSON.parse(readFileSync(root('package.json'), 'utf8')) as { version: string }).version,
    async start(options: StartOptions) {
      const port = await freePort();
      const conf = (accessLog: string) => configuration({ port, accessLog, pool }, options);
      return start(root('bin/sluice.js'), conf, port, options);
    },
  };
}

function start(
  program: string,
  confWith: (accessLog: string) => string,
  port: number,
  { cores, folder }: StartOptions,
): Promise<RunningServer> {
  const accessLog = join(folder, 'access.log');
  const conf = join(folder, 'conf.yaml');
  writeFileSync(conf, confWith(accessLog));
  return launch({
    name: 'sluice',
    command: process.execPath,
    args: ['--conditions=sluice-source', program, '-c', conf],
    port,
    cores,
    folder,
    stopSignal: 'SIGINT',
    accessLog,
  });
}

interface Own {
  readonly port: number;
  readonly accessLog: string;
  readonly pool: string;
}

/** As with the others, connections last for as long as they are measured: all clients have one address. */
function configuration({ port, accessLog, pool }: Own, { origin, setup }: StartOptions): string {
  return `
version: 1
threads: ${setup.workers}
admin: { listen: 127.0.0.1:0 }
access_log: ${JSON.stringify(accessLog)}
upstreams:
  origin: { peers: ["${origin}"], pool: ${pool} }
services:
  - name: edge
    listen: ["127.0.0.1:${port}"]
    limits: { max_requests: 1000000000, max_connections_per_client: ${setup.connections} }
    timeouts: { keep_alive: 300s }
    routes: [{ upstream: origin }]
`;
}

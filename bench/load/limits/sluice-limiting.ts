/** Sluice with limits on two paths, answering by itself. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sluice } from '../../support/peers/sluice.ts';
import {
  freePort,
  launch,
  type RunningServer,
  type ServerKind,
  type StartOptions,
} from '../../support/peers/server.ts';

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const HELD_CLOCK = fileURLToPath(new URL('./held-clock-program.ts', import.meta.url));

/** The rate of `/paced`, per second, which it also admits at once. */
export const PACED_RATE = 1_000;
/** `/burst` admits as many at once, for each value of `x-client`. */
export const BURST = 20;

/** Refuses under `/limited` what comes from an address more than once a minute, with a 429. */
export const sluiceLimiting: ServerKind = {
  ...sluice,
  start: (options) => startLimiting(root('bin/sluice.js'), options),
};

export function startHeldClock(options: Pick<StartOptions, 'cores' | 'folder' | 'setup'>) {
  return startLimiting(HELD_CLOCK, options);
}

async function startLimiting(
  program: string,
  { cores, folder, setup }: Pick<StartOptions, 'cores' | 'folder' | 'setup'>,
): Promise<RunningServer> {
  const port = await freePort();
  const accessLog = join(folder, 'access.log');
  const conf = join(folder, 'conf.yaml');
  const limits = `limits: { max_requests: 1000000000, max_connections_per_client: ${setup.connections} }`;
  const routes = [
    '{ match: { path: /limited }, rate_limit: { rate: 1/m, burst: 1 }, respond: { status: 404 } }',
    `{ match: { path: /paced }, rate_limit: { rate: ${PACED_RATE}/s, burst: ${PACED_RATE} }, respond: { status: 200 } }`,
    `{ match: { path: /burst }, rate_limit: { key: "header:x-client", rate: 10/s, burst: ${BURST} }, respond: { status: 200 } }`,
    '{ respond: { status: 200, body: ready } }',
  ];
  writeFileSync(
    conf,
    `
version: 1
threads: ${setup.workers}
admin: { listen: 127.0.0.1:0 }
access_log: ${JSON.stringify(accessLog)}
services:
  - name: edge
    listen: ["127.0.0.1:${port}"]
    ${limits}
    routes: [${routes.join(', ')}]
`,
  );
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

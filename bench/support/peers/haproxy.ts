/**
 * HAProxy with one thread. It cannot write a log file (it logs to syslog or to a
 * descriptor, a write per line), so here it writes no access log, which spares
 * it what the others pay for theirs.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, requireProgram } from '../pin.ts';
import { freePort, launch, type ServerKind, type StartOptions } from './server.ts';

export const haproxy: ServerKind = {
  name: 'haproxy',
  missing: () => (findProgram('haproxy') === undefined ? 'haproxy is not installed' : undefined),
  version: () =>
    /version (\S+)/.exec(
      spawnSync(requireProgram('haproxy', 'haproxy'), ['-v']).stdout.toString(),
    )?.[1] ?? '',
  async start({ origin, core, folder }: StartOptions) {
    const port = await freePort();
    const conf = join(folder, 'haproxy.cfg');
    writeFileSync(conf, configuration(port, origin));
    return launch({
      name: 'haproxy',
      command: requireProgram('haproxy', 'haproxy'),
      args: ['-db', '-f', conf],
      port,
      core,
      folder,
      stopSignal: 'SIGTERM',
    });
  },
};

function configuration(port: number, origin: string): string {
  return `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 60s
frontend edge
  bind 127.0.0.1:${port}
  http-request set-header X-Forwarded-Proto http
  default_backend origin
backend origin
  server origin ${origin} pool-max-conn 64
`;
}

/**
 * HAProxy with a thread per worker.
 *
 * It cannot write a log file: it logs to syslog or to a descriptor, with a write
 * per line. So its access log goes to a ring in its memory: it puts every line
 * together, as the others do, and is spared only their rare writes of many lines.
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
  async start(options: StartOptions) {
    const { cores, folder } = options;
    const port = await freePort();
    const conf = join(folder, 'haproxy.cfg');
    writeFileSync(conf, configuration(port, options));
    return launch({
      name: 'haproxy',
      command: requireProgram('haproxy', 'haproxy'),
      args: ['-db', '-f', conf],
      port,
      cores,
      folder,
      stopSignal: 'SIGTERM',
    });
  },
};

function configuration(port: number, { origin, setup }: StartOptions): string {
  return `
global
  nbthread ${setup.workers}
  maxconn ${setup.connections + 100}
  log ring@access format raw local0
  ${setup.buffers === '64 KiB' ? 'tune.bufsize 65536' : ''}
ring access
  format raw
  maxlen 2048
  size 262144
defaults
  mode http
  log global
  option httplog
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

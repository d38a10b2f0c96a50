/** nginx with one worker: as the proxy that others are compared to, and as the origin behind all of them. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, requireProgram } from '../pin.ts';
import {
  freePort,
  launch,
  type RunningServer,
  type ServerKind,
  type StartOptions,
} from './server.ts';

export const nginx: ServerKind = {
  name: 'nginx',
  missing: () => (findProgram('nginx') === undefined ? 'nginx is not installed' : undefined),
  version: () =>
    spawnSync(requireProgram('nginx', 'nginx'), ['-v']).stderr.toString().trim().split('/')[1] ??
    '',
  async start({ origin, core, folder }: StartOptions) {
    const port = await freePort();
    const accessLog = join(folder, 'access.log');
    return run('nginx', core, folder, port, accessLog, [
      `access_log ${accessLog} combined buffer=64k flush=1s;`,
      `upstream origin { server ${origin}; keepalive 64; keepalive_requests ${NO_LIMIT}; }`,
      `server { listen 127.0.0.1:${port}; location / {`,
      '  proxy_pass http://origin;',
      '  proxy_http_version 1.1;',
      '  proxy_set_header Connection "";',
      '  proxy_set_header Host $http_host;',
      '  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      '  proxy_set_header X-Forwarded-Proto $scheme;',
      '} }',
    ]);
  },
};

/** Answers every request with that text. */
export async function startNginxOrigin(
  text: string,
  core: number,
  folder: string,
): Promise<RunningServer> {
  const port = await freePort();
  return run('origin', core, folder, port, undefined, [
    'access_log off;',
    `server { listen 127.0.0.1:${port}; location / { return 200 "${text}"; } }`,
  ]);
}

/** Its default of 1000 requests would put new connections into the figures. */
const NO_LIMIT = 1_000_000_000;

function run(
  name: string,
  core: number,
  folder: string,
  port: number,
  accessLog: string | undefined,
  http: readonly string[],
): Promise<RunningServer> {
  const conf = join(folder, 'nginx.conf');
  writeFileSync(conf, configuration(folder, http));
  return launch({
    name,
    command: requireProgram('nginx', 'nginx'),
    args: ['-p', folder, '-c', conf, '-e', 'stderr'],
    port,
    core,
    folder,
    stopSignal: 'SIGTERM',
    ...(accessLog === undefined ? {} : { accessLog }),
  });
}

function configuration(folder: string, http: readonly string[]): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  return [
    'daemon off;',
    'worker_processes 1;',
    // Started by root, its worker would become nobody, who cannot write into our folder.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    `pid ${folder}/nginx.pid;`,
    'error_log stderr;',
    'events { worker_connections 4096; }',
    'http {',
    'default_type text/plain;',
    `keepalive_requests ${NO_LIMIT};`,
    'keepalive_timeout 300s;',
    ...temporary,
    ...http,
    '}\n',
  ].join('\n');
}

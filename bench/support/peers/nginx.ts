/** nginx: as the proxy that others are compared to, and as the origin behind all of them. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, requireProgram } from '../pin.ts';
import {
  freePort,
  launch,
  USUAL_SETUP,
  type RunningServer,
  type ServerKind,
  type Setup,
  type StartOptions,
} from './server.ts';

export const nginx: ServerKind = {
  name: 'nginx',
  missing: () => (findProgram('nginx') === undefined ? 'nginx is not installed' : undefined),
  version: () =>
    spawnSync(requireProgram('nginx', 'nginx'), ['-v']).stderr.toString().trim().split('/')[1] ??
    '',
  async start({ origin, cores, folder, setup }: StartOptions) {
    const port = await freePort();
    const accessLog = join(folder, 'access.log');
    const listen = `127.0.0.1:${port}${setup.workers > 1 ? ' reuseport' : ''}`;
    return run({ name: 'nginx', cores, folder, port, accessLog, setup }, [
      `access_log ${accessLog} combined buffer=64k flush=1s;`,
      'client_max_body_size 0;',
      ...(setup.buffers === '64 KiB' ? LARGE_BUFFERS : []),
      `upstream origin { server ${origin}; keepalive 64; keepalive_requests ${NO_LIMIT}; }`,
      `server { listen ${listen};`,
      'location = /nginx-status { stub_status; }',
      'location / {',
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

/** Refuses under `/limited` what comes from an address more than once a minute, with a 429. */
export const nginxLimiting: ServerKind = {
  ...nginx,
  async start({ cores, folder, setup }: StartOptions) {
    const port = await freePort();
    const accessLog = join(folder, 'access.log');
    return run({ name: 'nginx', cores, folder, port, accessLog, setup }, [
      `access_log ${accessLog} combined buffer=64k flush=1s;`,
      // A refusal is a line in the error log; buffering it is not to be had, so it is left out.
      'limit_req_log_level info;',
      'limit_req_zone $binary_remote_addr zone=clients:1m rate=1r/m;',
      'limit_req_status 429;',
      `server { listen 127.0.0.1:${port};`,
      'location / { return 200 "ready"; }',
      'location = /limited { limit_req zone=clients; root /nowhere; }',
      '}',
    ]);
  },
};

/** Reads and writes of 64 KiB in both directions, and uploads passed on as they come, as all others do. */
const LARGE_BUFFERS = [
  'proxy_buffer_size 64k;',
  'proxy_buffers 8 64k;',
  'proxy_busy_buffers_size 128k;',
  'client_body_buffer_size 64k;',
  'proxy_request_buffering off;',
];

export interface OriginOptions {
  /** Answers every request, except those for a file. */
  readonly text: string;
  readonly core: number;
  /** Its folder `files` has what `/files/NAME` answers with. */
  readonly folder: string;
}

/**
 * Answers GET with that text or a file, and POST with the text once it has the
 * whole body.
 *
 * `return` would answer a POST before its body has come, so a POST goes through
 * a server of its own, which must have the body first, and says how much it got.
 */
export async function startNginxOrigin(options: OriginOptions): Promise<RunningServer> {
  const { text, core, folder } = options;
  const port = await freePort();
  const answer = `unix:${folder}/answer.sock`;
  const server = { name: 'origin', cores: [core], folder, port, setup: USUAL_SETUP };
  return run({ ...server, accessLog: undefined }, [
    'access_log off;',
    'sendfile on;',
    'open_file_cache max=10 inactive=1h;',
    `upstream answer { server ${answer}; keepalive 64; keepalive_requests ${NO_LIMIT}; }`,
    `server { listen ${answer}; location / { return 200 "${text}"; } }`,
    `server { listen 127.0.0.1:${port};`,
    `location / { return 200 "${text}"; }`,
    `location /files/ { root ${folder}; }`,
    'location = /upload {',
    '  client_max_body_size 0;',
    '  client_body_buffer_size 4m;', // in memory: a disk is not what is measured
    '  proxy_pass http://answer;',
    '  proxy_http_version 1.1;',
    '  proxy_pass_request_body off;',
    '  proxy_set_header Content-Length "";',
    '  proxy_set_header Connection "";',
    '  add_header X-Received $request_length;',
    '} }',
  ]);
}

/** Its default of 1000 requests would put new connections into the figures. */
const NO_LIMIT = 1_000_000_000;

interface NginxOptions {
  readonly name: string;
  readonly cores: readonly number[];
  readonly folder: string;
  readonly port: number;
  readonly accessLog: string | undefined;
  readonly setup: Setup;
}

function run(options: NginxOptions, http: readonly string[]): Promise<RunningServer> {
  const { name, cores, folder, port, accessLog, setup } = options;
  const conf = join(folder, 'nginx.conf');
  mkdirSync(join(folder, 'temporary'));
  writeFileSync(conf, configuration(folder, setup, http));
  return launch({
    name,
    command: requireProgram('nginx', 'nginx'),
    args: ['-p', folder, '-c', conf, '-e', 'stderr'],
    port,
    cores,
    folder,
    stopSignal: 'SIGTERM',
    ...(accessLog === undefined ? {} : { accessLog }),
  });
}

function configuration(folder: string, setup: Setup, http: readonly string[]): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/temporary/${kind};`,
  );
  return [
    'daemon off;',
    `worker_processes ${setup.workers};`,
    // Started by root, its worker would become nobody, who cannot write into our folder.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    `pid ${folder}/nginx.pid;`,
    'error_log stderr;',
    // It counts its connections to the origin, too.
    `events { worker_connections ${setup.connections + 1_000}; }`,
    'http {',
    'default_type text/plain;',
    `keepalive_requests ${NO_LIMIT};`,
    'keepalive_timeout 300s;',
    ...temporary,
    ...http,
    '}\n',
  ].join('\n');
}

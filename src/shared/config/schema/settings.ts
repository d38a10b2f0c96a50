/**
 * Every setting, defined once in this folder: its kind, default, range and text.
 * The types, the checks and their messages come from here.
 */
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { duration, filePath, ipv4, ipv6, size } from '../kinds.ts';
import { admin } from './admin.ts';
import { service } from './service.ts';
import { upstream } from './upstream.ts';

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
  pid_file: filePath.optional().describe('Where the supervisor writes its process id.'),
  upgrade_sock: filePath
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
  control_sock: filePath
    .optional()
    .describe(
      'Unix socket for `sluice status`, `reload` and the like. Default: beside `pid_file` or `upgrade_sock`, named after it; without either, in the folder for sockets of the user who starts it.',
    ),
  error_log: filePath.optional().describe('File of the process log. Default: standard error.'),
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
  working_directory: filePath
    .optional()
    .describe('Where relative paths begin. Default: where it was started.'),
  ca_file: filePath
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

import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import {
  connectionDefaults,
  defaultConfig,
  loadConfig,
  parseConfig,
  type Loaded,
} from '../../../../src/shared/config/load.ts';
import type { UpstreamSettings } from '../../../../src/shared/config/settings.ts';
import { temporaryFile } from '../../../support/index.ts';

describe('a configuration', () => {
  test('needs nothing but its version', () => {
    const { settings, user, warnings } = load('version: 1\n');

    assert.equal(settings.threads, availableParallelism());
    assert.equal(settings.access_log, 'stdout');
    assert.equal(settings.max_retries, 3);
    assert.equal(settings.grace_period_seconds, 25);
    assert.equal(settings.upstream_keepalive_pool_size, 128);
    assert.deepEqual(settings.log, { level: 'info' });
    assert.deepEqual([settings.upstreams, settings.services, user, warnings], [{}, [], {}, []]);
  });

  test('without a file is that of a file with nothing in it', () => {
    const result = defaultConfig({});
    assert.ok(result.ok);
    assert.deepEqual(result.settings, load('version: 1\n').settings);
  });

  test('of a whole gateway comes out as plain data, in milliseconds and bytes', () => {
    const { settings, user } = load(GATEWAY, { API_KEY: 'secret123' });

    assert.deepEqual(settings.upstreams['api'], {
      balance: 'round_robin',
      peers: [
        { host: '10.0.0.1', port: 8080, weight: 1, priority: 0 },
        { host: '10.0.0.2', port: 8080, weight: 2, priority: 0 },
      ],
      panic_threshold: 0,
      outlier_detection: {
        consecutive_failures: 5,
        consecutive_5xx: 0,
        base_ejection_time: 30_000,
        max_ejection_time: 300_000,
        max_ejection_percent: 10,
      },
      slow_start: 0,
      health_check: {
        type: 'tcp',
        interval: 1_000,
        timeout: 1_000,
        consecutive_success: 1,
        consecutive_failure: 1,
      },
      connect_timeout: 5_000,
      total_connect_timeout: 10_000,
      read_timeout: 60_000,
      write_timeout: 60_000,
      pool: { max_idle: 64, idle_timeout: 60_000, pipelining: 1 },
      tcp_keepalive: { enabled: true, idle: 60_000, interval: 10_000, count: 5 },
    });
    assert.deepEqual(settings.services[0], {
      name: 'edge',
      listen: [{ place: { host: '0.0.0.0', port: 6188 } }, { place: { host: '::1', port: 6189 } }],
      limits: {
        max_target: 8_192,
        max_head: 16_384,
        max_headers: 100,
        max_body: 104_857_600,
        min_rate: 240,
        max_requests: 10_000,
        max_connections_per_client: 1_024,
      },
      timeouts: {
        tls_handshake: 10_000,
        request_head: 10_000,
        request_body: 30_000,
        response_write: 30_000,
        tunnel_idle: 3_600_000,
        keep_alive: 60_000,
        phase: 30_000,
      },
      retry: {
        statuses: [],
        closed: false,
        budget_percent: 20,
        min_concurrent: 3,
        back_off: 25,
        max_back_off: 250,
      },
      paths: [],
      forwarded: false,
      via: 'sluice',
      trusted_proxies: ['10.0.0.0/8'],
      client_ip_field: 'x-forwarded-for',
      routes: [
        {
          match: { host: 'api.example.com', path: '/v1/*', methods: ['GET'] },
          auth: { api_key: { header: 'x-api-key', keys: ['secret123'] } },
          rate_limit: {
            key: [{ kind: 'client_ip' }],
            ipv6_prefix: 64,
            cost: 1,
            exempt: [],
            exempt_keys: [],
            dry_run: false,
            status: 429,
            fields: false,
            rate: { count: 10, perMs: 1_000 },
            burst: 20,
            max_keys: 65_536,
          },
          response_headers: { set: { server: 'Gateway' }, remove: ['x-powered-by'] },
          upstream: 'api',
        },
        { respond: { status: 404 } },
      ],
    });
    assert.deepEqual(user, { team: 'edge' });
    assert.deepEqual(JSON.parse(JSON.stringify(settings)), settings, 'it crosses as JSON');
  });

  test('of Pingora loads as it is, with a warning for each key that does nothing here', () => {
    const { settings, user, warnings } = load(PINGORA);

    assert.equal(settings.threads, 2);
    assert.equal(settings.pid_file, '/run/pingora.pid');
    assert.deepEqual(settings.client_bind_to_ipv4, ['10.0.0.9']);
    assert.deepEqual(user, {});
    assert.deepEqual(
      warnings.map(({ line, path, message }) => `${line} ${path}: ${message}`),
      [
        '5 work_stealing: has no effect in Sluice: workers are processes and share no tasks',
        '6 listener_tasks_per_fd: has no effect in Sluice: each worker accepts in one loop',
      ],
    );
  });

  test('read from a file is the same', (t) => {
    const path = temporaryFile(t, 'conf.yaml', 'version: 1\nthreads: 3\n');
    const result = loadConfig(path, {});

    assert.ok(result.ok);
    assert.equal(result.settings.threads, 3);
  });

  test('takes the level of the log from the environment, if it says one', () => {
    const levelWith = (SLUICE_LOG?: string) =>
      load('version: 1\nlog: { level: warn }\n', { SLUICE_LOG }).settings.log.level;

    assert.deepEqual([levelWith('debug'), levelWith(''), levelWith()], ['debug', 'warn', 'warn']);
  });

  test('gives a service of a program the same defaults as one of a file', () => {
    const {
      name: _name,
      listen: _listen,
      routes: _routes,
      ...service
    } = route('respond: { status: 204 }').service;

    assert.deepEqual(connectionDefaults(), service);
  });
});

describe('a key that is not one of Sluice', () => {
  test('is kept for the program, substitutions included', () => {
    const { user, warnings } = load('version: 1\nteam: { name: $TEAM, size: 3 }\n', { TEAM: 'x' });

    assert.deepEqual(user, { team: { name: 'x', size: 3 } });
    assert.deepEqual(warnings, []);
  });

  test('gets a warning if it looks like a slip', () => {
    const { user, warnings } = load('version: 1\nthread: 4\n');

    assert.deepEqual(user, { thread: 4 });
    assert.deepEqual(warnings, [
      {
        file: 'conf.yaml',
        line: 2,
        column: 1,
        path: 'thread',
        message: 'is not a key of Sluice and was kept for your program; did you mean "threads"?',
      },
    ]);
  });

  test('cannot be a prototype', () => {
    const { user } = load('version: 1\n__proto__: { polluted: true }\n');

    assert.deepEqual(Object.keys(user), ['__proto__']);
    assert.equal((user as { polluted?: boolean }).polluted, undefined);
  });
});

describe('a value', () => {
  const durations = { '1ms': 1, '500ms': 500, '60s': 60_000, '1.5s': 1_500, '5m': 300_000 };
  for (const [text, ms] of Object.entries(durations)) {
    test(`of ${text} is ${ms} milliseconds`, () => {
      assert.equal(upstream(`connect_timeout: ${text}`).connect_timeout, ms);
    });
  }
  for (const [text, ms] of Object.entries({ '1h': 3_600_000, '1d': 86_400_000 })) {
    test(`of ${text} is ${ms} milliseconds`, () => {
      assert.equal(upstream(`read_timeout: ${text}`).read_timeout, ms);
    });
  }

  const sizes = {
    '256B': 256,
    '16kB': 16_000,
    '16KiB': 16_384,
    '1MB': 1_000_000,
    '1MiB': 1_048_576,
  };
  for (const [text, bytes] of Object.entries(sizes)) {
    test(`of ${text} is ${bytes} bytes`, () => {
      const { service } = route('respond: { status: 204 }', `limits: { max_head: ${text} }`);
      assert.equal(service.limits.max_head, bytes);
    });
  }

  const rates = [
    { rate: '10/s', count: 10, perMs: 1_000, burst: 10 },
    { rate: '600/m', count: 600, perMs: 60_000, burst: 10 },
    { rate: '100/h', count: 100, perMs: 3_600_000, burst: 1 },
    { rate: '90/m', count: 90, perMs: 60_000, burst: 2 },
  ];
  for (const { rate, count, perMs, burst } of rates) {
    test(`of ${rate} is ${count} per ${perMs} ms, and a burst of ${burst} unless it says another`, () => {
      const { rate_limit: limit } = route(
        `rate_limit: { rate: ${rate} }, respond: { status: 204 }`,
      ).route;
      assert.deepEqual([limit?.rate, limit?.burst], [{ count, perMs }, burst]);
    });
  }

  const peers = [
    { text: '127.0.0.1:80', peer: { host: '127.0.0.1', port: 80, weight: 1, priority: 0 } },
    { text: '"[::1]:8080"', peer: { host: '::1', port: 8080, weight: 1, priority: 0 } },
    {
      text: 'api_1.internal:65535',
      peer: { host: 'api_1.internal', port: 65_535, weight: 1, priority: 0 },
    },
    { text: 'unix:/run/a b.sock', peer: { path: '/run/a b.sock', weight: 1, priority: 0 } },
    {
      text: '{ address: unix:/run/a, weight: 3 }',
      peer: { path: '/run/a', weight: 3, priority: 0 },
    },
    { text: '{ address: h:1, weight: 0 }', peer: { host: 'h', port: 1, weight: 0, priority: 0 } },
    {
      text: '{ address: h:1, priority: 2 }',
      peer: { host: 'h', port: 1, weight: 1, priority: 2 },
    },
    {
      text: '{ address: h:1, backup: true }',
      peer: { host: 'h', port: 1, weight: 1, priority: 1_000 },
    },
  ];
  for (const { text, peer } of peers) {
    test(`of ${text} is a peer`, () => {
      const { settings } = load(`version: 1\nupstreams: { api: { peers: [${text}] } }\n`);
      assert.deepEqual(settings.upstreams['api']?.peers, [peer]);
    });
  }

  const keys = [
    { text: 'uri', key: { kind: 'uri' } },
    { text: 'header:X-Tenant', key: { kind: 'header', name: 'X-Tenant' } },
    { text: 'cookie:session', key: { kind: 'cookie', name: 'session' } },
  ];
  for (const { text, key } of keys) {
    test(`of ${text} is what a peer is chosen by`, () => {
      const { settings } = load(
        `version: 1\nupstreams: { api: { balance: maglev, hash_key: "${text}", peers: ['h:1'] } }\n`,
      );
      assert.deepEqual(settings.upstreams['api']?.hash_key, key);
    });
  }

  test('of a method may be one or several', () => {
    const methods = (text: string) =>
      route(`match: { method: ${text} }, respond: { status: 204 }`).route.match?.methods;

    assert.deepEqual(methods('GET'), ['GET']);
    assert.deepEqual(methods('[GET, HEAD]'), ['GET', 'HEAD']);
  });
});

describe('a variable of the environment', () => {
  const env = { NAME: 'value', OTHER: '$NAME', EMPTY: '' };
  const cases = [
    { text: '$NAME', value: 'value' },
    { text: '${NAME}s', value: 'values' },
    { text: 'a-$NAME-b', value: 'a-value-b' },
    { text: '$$NAME', value: '$NAME' },
    { text: '5$', value: '5$' },
    { text: '$1', value: '$1' },
    { text: '$OTHER', value: '$NAME' }, // not looked at twice
    { text: 'x$EMPTY', value: 'x' },
  ];
  for (const { text, value } of cases) {
    test(`in ${text} gives ${value}`, () => {
      assert.equal(load(`version: 1\nmine: "${text}"\n`, env).user['mine'], value);
    });
  }

  test('cannot break out of its value', () => {
    const evil = 'x"\nthreads: 1000\ny: "';
    const { settings, user } = load('version: 1\nthreads: 2\nmine: "$EVIL"\n', { EVIL: evil });

    assert.equal(user['mine'], evil);
    assert.equal(settings.threads, 2);
  });
});

test('a route behind one that matches everything gets a warning', () => {
  const { warnings } = load(`
version: 1
services:
  - listen: [127.0.0.1:0]
    routes:
      - respond: { status: 200 }
      - match: { path: /a }
        respond: { status: 404 }
`);
  assert.deepEqual(
    warnings.map(({ line, column, path, message }) => [line, column, path, message]),
    [
      [
        7,
        9,
        'services[0].routes[1]',
        'can never be reached: the route before it matches everything',
      ],
    ],
  );
});

const GATEWAY = `
version: 1
threads: auto
pid_file: /run/sluice/sluice.pid
upgrade_sock: /run/sluice/upgrade.sock
admin: { listen: 127.0.0.1:9180 }

upstreams:
  api:
    balance: round_robin
    peers: [10.0.0.1:8080, { address: 10.0.0.2:8080, weight: 2 }]
    health_check: { type: tcp, interval: 1s }

services:
  - name: edge
    listen: [0.0.0.0:6188, "[::1]:6189"]
    limits: { max_head: 16KiB }
    trusted_proxies: [10.0.0.0/8]
    routes:
      - match: { host: api.example.com, path: /v1/*, method: GET }
        auth: { api_key: { header: x-api-key, keys: [$API_KEY] } }
        rate_limit: { key: client_ip, rate: 10/s, burst: 20 }
        response_headers: { set: { server: Gateway }, remove: [x-powered-by] }
        upstream: api
      - respond: { status: 404 }

team: edge
`;

const PINGORA = `---
version: 1
threads: 2
pid_file: /run/pingora.pid
work_stealing: false
listener_tasks_per_fd: 1
upgrade_sock: /tmp/pingora_upgrade.sock
user: nobody
group: webusers
client_bind_to_ipv4:
    - 10.0.0.9
ca_file: /etc/ssl/ca.pem
`;

function load(source: string, env: NodeJS.ProcessEnv = {}): Loaded {
  const result = parseConfig(source, 'conf.yaml', env);
  if (!result.ok) assert.fail(JSON.stringify(result.problems));
  return result;
}

function upstream(text: string): UpstreamSettings {
  const { settings } = load(`version: 1\nupstreams: { api: { peers: ['h:1'], ${text} } }\n`);
  return settings.upstreams['api']!;
}

function route(text: string, more = 'trusted_proxies: []') {
  const { settings } = load(
    `version: 1\nservices: [{ listen: ['127.0.0.1:0'], ${more}, routes: [{ ${text} }] }]\n`,
  );
  const service = settings.services[0]!;
  return { service, route: service.routes[0]! };
}

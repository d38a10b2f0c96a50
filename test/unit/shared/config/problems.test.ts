import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfig, parseConfig } from '../../../../src/shared/config/load.ts';
import { formatProblem, formatProblems, nearest } from '../../../../src/shared/config/problem.ts';

/** What the operator reads, to the letter; `^` stands under the place. */
const refused: { name: string; source: string; says: string }[] = [
  {
    name: 'a file with nothing in it',
    source: '',
    says: `
conf.yaml:1:1: expected a mapping with "version: 1" at its top, got something else
1 problem in conf.yaml`,
  },
  {
    name: 'a file that is a list',
    source: '- a\n',
    says: `
conf.yaml:1:1: expected a mapping with "version: 1" at its top, got something else
  1 | - a
      ^
1 problem in conf.yaml`,
  },
  {
    name: 'a file without a version',
    source: 'threads: 2\n',
    says: `
conf.yaml:1:1: version: expected "version: 1" at the top of the file
  1 | threads: 2
      ^
1 problem in conf.yaml`,
  },
  {
    name: 'another version',
    source: 'version: 2\n',
    says: `
conf.yaml:1:10: version: expected 1, got 2
  1 | version: 2
               ^
1 problem in conf.yaml`,
  },
  {
    name: 'a key to choose by, for a balance that goes by none',
    source: "version: 1\nupstreams:\n  api: { peers: ['h:1'], hash_key: uri }\n",
    says: `
conf.yaml:3:36: upstreams.api.hash_key: is for the balances consistent, fnv_hash and maglev
  3 |   api: { peers: ['h:1'], hash_key: uri }
                                         ^
1 problem in conf.yaml`,
  },
  {
    name: 'a key to choose by that there is not',
    source: "version: 1\nupstreams:\n  api: { balance: maglev, peers: ['h:1'], hash_key: ip }\n",
    says: `
conf.yaml:3:53: upstreams.api.hash_key: expected client_ip, host, path, uri, header:NAME or cookie:NAME, got "ip"
  3 |   api: { balance: maglev, peers: ['h:1'], hash_key: ip }
                                                          ^
1 problem in conf.yaml`,
  },
  {
    name: 'an upstream with neither peers nor a discovery',
    source: 'version: 1\nupstreams:\n  api: { peers: [] }\n',
    says: `
conf.yaml:3:17: upstreams.api.peers: expected at least 1 entry, or a "discovery"
  3 |   api: { peers: [] }
                      ^
1 problem in conf.yaml`,
  },
  {
    name: 'a discovery of a type that there is not',
    source: 'version: 1\nupstreams:\n  api: { discovery: { type: consul, name: api } }\n',
    says: `
conf.yaml:3:29: upstreams.api.discovery.type: expected "dns" or "dns_srv" or "file" or "kubernetes", got "consul"
  3 |   api: { discovery: { type: consul, name: api } }
                                  ^
1 problem in conf.yaml`,
  },
  {
    name: 'a name server that has a name',
    source:
      'version: 1\nupstreams:\n  api: { discovery: { type: dns, name: api, port: 80, servers: [10.0.0.53:0] } }\n',
    says: `
conf.yaml:3:65: upstreams.api.discovery.servers[0]: expected an address such as "10.0.0.53" or "10.0.0.53:5353", got "10.0.0.53:0"
  3 |   api: { discovery: { type: dns, name: api, port: 80, servers: [10.0.0.53:0] } }
                                                                      ^
1 problem in conf.yaml`,
  },
  {
    name: 'a backup with a priority',
    source:
      "version: 1\nupstreams:\n  api: { peers: [{ address: 'h:1', priority: 1, backup: true }] }\n",
    says: `
conf.yaml:3:18: upstreams.api.peers[0]: expected either "priority" or "backup"
  3 |   api: { peers: [{ address: 'h:1', priority: 1, backup: true }] }
                       ^
1 problem in conf.yaml`,
  },
  {
    name: 'what is no YAML',
    source: 'version: 1\nlog:\n\tlevel: info\n',
    says: `
conf.yaml:3:1: Tabs are not allowed as indentation
  3 | \tlevel: info
      ^
1 problem in conf.yaml`,
  },
  {
    name: 'YAML 1.1, in which `no` is false',
    source: '%YAML 1.1\n---\nversion: 1\n',
    says: `
conf.yaml:1:1: expected YAML 1.2, got a %YAML 1.1 directive
  1 | %YAML 1.1
      ^
1 problem in conf.yaml`,
  },
  {
    name: 'a second document',
    source: 'version: 1\n---\nversion: 1\n',
    says: `
conf.yaml:2:1: expected one document, got a second one
  2 | ---
      ^
1 problem in conf.yaml`,
  },
  {
    name: 'a key that is there twice',
    source: 'version: 1\nlog:\n  level: info\n  level: warn\n',
    says: `
conf.yaml:4:3: the key "level" is there twice
  4 |   level: warn
        ^
1 problem in conf.yaml`,
  },
  {
    name: 'a variable that the environment lacks, with its place and not its neighbours',
    source: 'version: 1\npid_file: ${RUN}/sluice.pid\nmine: [$SET, $UNSET]\n',
    says: `
conf.yaml:2:11: the environment has no variable RUN; write $$ for a dollar sign
  2 | pid_file: \${RUN}/sluice.pid
                ^
conf.yaml:3:14: the environment has no variable UNSET; write $$ for a dollar sign
  3 | mine: [$SET, $UNSET]
                   ^
2 problems in conf.yaml`,
  },
  {
    name: 'everything that is wrong, at once and in the order of the file',
    source: `version: 1
threads: 0
upstreams:
  api:
    pool:
      idle_timeout: 60
    peers: [10.0.0.1:8080]
    ballance: random
`,
    says: `
conf.yaml:2:10: threads: expected at least 1, got 0
  2 | threads: 0
               ^
conf.yaml:6:21: upstreams.api.pool.idle_timeout: expected a duration with a unit, such as "60s" or "500ms", got 60
  6 |       idle_timeout: 60
                          ^
conf.yaml:8:5: upstreams.api: unknown key "ballance"; did you mean "balance"?
  8 |     ballance: random
          ^
3 problems in conf.yaml`,
  },
  {
    name: 'an unknown key that is like no other',
    source: 'version: 1\nlog: { level: info, colour: true }\n',
    says: `
conf.yaml:2:21: log: unknown key "colour"
  2 | log: { level: info, colour: true }
                          ^
1 problem in conf.yaml`,
  },
  {
    name: 'a file of Windows',
    source: 'version: 1\r\nthreads: 0\r\n',
    says: `
conf.yaml:2:10: threads: expected at least 1, got 0
  2 | threads: 0
               ^
1 problem in conf.yaml`,
  },
];

describe('a configuration is refused', () => {
  for (const { name, source, says } of refused) {
    test(`for ${name}`, () => {
      assert.equal(textOf(source), says.slice(1));
    });
  }
});

/** The rest only names the path and the message, for a line under `version: 1`. */
const values = [
  ['threads: many', 'threads: expected "auto" or a whole number, got "many"'],
  ['threads: 1025', 'threads: expected at most 1024, got 1025'],
  ['threads:', 'threads: expected "auto" or a whole number, got null'],
  ['max_retries: 1.5', 'max_retries: expected a whole number, got 1.5'],
  ['max_retries: 0', 'max_retries: expected at least 1, got 0'],
  ['pid_file: ""', 'pid_file: expected at least 1 character, got ""'],
  ['pid_file: 5', 'pid_file: expected text, got 5'],
  [
    'log: { level: wran }',
    'log.level: expected "trace" or "debug" or "info" or "warn" or "error", got "wran"; did you mean "warn"?',
  ],
  ['log: loud', 'log: expected a mapping, got "loud"'],
  [
    'admin: { listen: 0.0.0.0:9180 }',
    'admin.listen: expected "token": other machines can reach this address',
  ],
  [
    'admin: { listen: 127.0.0.1:9180, token: short }',
    'admin.token: expected 16 to 512 visible characters; take them from the environment: $ADMIN_TOKEN',
  ],
  ['daemon: yes', 'daemon: expected true or false, got "yes"'],
  ['services: {}', 'services: expected a list, got {}'],
  [
    'services: [{ routes: [{ respond: { status: 200 } }] }]',
    'services[0].listen: expected a list, got nothing',
  ],
  ['client_bind_to_ipv4: ["::1"]', 'client_bind_to_ipv4[0]: expected an IPv4 address'],
  [
    'admin: { listen: localhost }',
    'admin.listen: expected an IP address and a port, such as "127.0.0.1:6188" or "[::1]:6188", or a Unix socket, such as "unix:/run/sluice.sock", got "localhost"',
  ],
  [
    'admin: { listen: example.com:80 }',
    'admin.listen: expected an IP address and a port, such as "127.0.0.1:6188" or "[::1]:6188", or a Unix socket, such as "unix:/run/sluice.sock", got "example.com:80"',
  ],
  [
    'upstreams: { api: { peers: [] } }',
    'upstreams.api.peers: expected at least 1 entry, or a "discovery"',
  ],
  [
    'upstreams: { api: { peers: [5] } }',
    'upstreams.api.peers[0]: expected "host:port", "unix:/path" or { address, weight, priority, backup }, got 5',
  ],
  [
    'upstreams: { api: { peers: [999.1.1.1:80] } }',
    'upstreams.api.peers[0]: expected "host:port", "[ipv6]:port" or "unix:/path", got "999.1.1.1:80"',
  ],
  [
    'upstreams: { api: { peers: ["h:0"] } }',
    'upstreams.api.peers[0]: expected "host:port", "[ipv6]:port" or "unix:/path", got "h:0"',
  ],
  [
    'upstreams: { api: { peers: ["h:65536"] } }',
    'upstreams.api.peers[0]: expected "host:port", "[ipv6]:port" or "unix:/path", got "h:65536"',
  ],
  [
    'upstreams: { api: { peers: ["[zz]:80"] } }',
    'upstreams.api.peers[0]: expected "host:port", "[ipv6]:port" or "unix:/path", got "[zz]:80"',
  ],
  [
    'upstreams: { api: { peers: [unix:app.sock] } }',
    'upstreams.api.peers[0]: expected "host:port", "[ipv6]:port" or "unix:/path", got "unix:app.sock"',
  ],
  ['upstreams: { api: { peers: [h:1, h:1] } }', 'upstreams.api.peers[1]: h:1 is there twice'],
  [
    'upstreams: { api: { peers: [unix:/a, unix:/a] } }',
    'upstreams.api.peers[1]: unix:/a is there twice',
  ],
  [
    'upstreams: { api: { peers: [h:1, unix:/a], tls: {} } }',
    'upstreams.api.peers[1]: "tls" of the upstream is for peers on TCP, not on Unix sockets',
  ],
  [
    'upstreams: { api: { peers: [unix:/a], proxy: { address: p:1 } } }',
    'upstreams.api.peers[0]: "proxy" of the upstream is for peers on TCP, not on Unix sockets',
  ],
  [
    'upstreams: { api: { peers: [h:1], proxy: { address: p } } }',
    'upstreams.api.proxy.address: expected "host:port", "[ipv6]:port" or "unix:/path", got "p"',
  ],
  [
    'upstreams: { api: { peers: [h:1], proxy: { address: p:1, username: a } } }',
    'upstreams.api.proxy: expected "username" and "password" together',
  ],
  [
    'upstreams: { api: { peers: [h:1], proxy: { address: p:1, username: "a:b", password: c } } }',
    'upstreams.api.proxy.username: expected a name without ":"',
  ],
  [
    'upstreams: { api: { peers: [h:1], bind_to_ipv4: "::1" } }',
    'upstreams.api.bind_to_ipv4: expected an IPv4 address',
  ],
  [
    'upstreams: { api: { peers: [h:1], tcp_keepalive: { idle: 10ms } } }',
    'upstreams.api.tcp_keepalive.idle: expected 1s to 9h, got "10ms"',
  ],
  [
    'upstreams: { api: { peers: [h:1], sticky: { secrets: [too short] } } }',
    'upstreams.api.sticky.secrets[0]: expected 16 characters or more',
  ],
  [
    'upstreams: { api: { peers: [h:1], sticky: { cookie: a } } }',
    'upstreams.api.sticky.secrets: expected a list, got nothing',
  ],
  [
    'upstreams: { api: { peers: [{ address: h:1, wieght: 2 }] } }',
    'upstreams.api.peers[0]: unknown key "wieght"; did you mean "weight"?',
  ],
  [
    'upstreams: { api: { peers: [h:1], connect_timeout: 5 } }',
    'upstreams.api.connect_timeout: expected a duration with a unit, such as "60s" or "500ms", got 5',
  ],
  [
    'upstreams: { api: { peers: [h:1], connect_timeout: 11m } }',
    'upstreams.api.connect_timeout: expected 1ms to 10m, got "11m"',
  ],
  [
    'upstreams: { api: { peers: [h:1], connect_timeout: 5 s } }',
    'upstreams.api.connect_timeout: expected a duration with a unit, such as "60s" or "500ms", got "5 s"',
  ],
  [
    'upstreams: { api: { peers: [h:1], balance: randon } }',
    'upstreams.api.balance: expected "round_robin" or "random" or "p2c" or "least_requests" or "ewma" or "consistent" or "fnv_hash" or "maglev", got "randon"; did you mean "random"?',
  ],
  [
    'upstreams: { api: { peers: [h:1], outlier_detection: { max_ejection_time: 10s } } }',
    'upstreams.api.outlier_detection.max_ejection_time: expected at least "base_ejection_time"',
  ],
  [
    'upstreams: { api: { peers: [h:1], health_check: { type: icmp } } }',
    'upstreams.api.health_check.type: expected "tcp" or "http", got "icmp"',
  ],
  [
    'upstreams: { api: { peers: [h:1], health_check: { type: tcp, intervall: 5s } } }',
    'upstreams.api.health_check: unknown key "intervall"; did you mean "interval"?',
  ],
  [
    'upstreams: { "a b": { peers: [h:1] } }',
    'upstreams.a b: expected a name of up to 64 letters, digits, "_", "-" and "."',
  ],
] as const;

const routes = [
  ['{}', ': expected either "upstream" or "respond"'],
  ['{ upstream: apj }', '.upstream: there is no upstream "apj"; did you mean "api"?'],
  ['{ upstream: constructor }', '.upstream: there is no upstream "constructor"'],
  ['{ upstream: api, respond: { status: 200 } }', ': expected either "upstream" or "respond"'],
  ['{ respond: { status: 99 } }', '.respond.status: expected at least 200, got 99'],
  ['{ upstream: api, match: { hosts: a } }', '.match: unknown key "hosts"; did you mean "host"?'],
  [
    '{ upstream: api, match: { path: v1 } }',
    '.match.path: expected a path such as "/v1/*", got "v1"',
  ],
  [
    '{ upstream: api, match: { method: get } }',
    '.match.method: expected a method in capitals such as "GET", got "get"',
  ],
  ['{ upstream: api, match: { method: [] } }', '.match.method: expected at least 1 entry, got []'],
  [
    '{ upstream: api, rate_limit: { rate: 10 } }',
    '.rate_limit.rate: expected a rate such as "10/s", "600/m", "100/h" or "5000/d", got 10',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 0/s } }',
    '.rate_limit.rate: expected a rate such as "10/s", "600/m", "100/h" or "5000/d", got "0/s"',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/w } }',
    '.rate_limit.rate: expected a rate such as "10/s", "600/m", "100/h" or "5000/d", got "1/w"',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s, burst: 2, cost: 3 } }',
    '.rate_limit.cost: expected no more than "burst", or no request would ever pass',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s, key: [client_ip, header] } }',
    '.rate_limit.key: expected client_ip, host, path, uri, method, header:NAME, cookie:NAME, or a list of up to 8 of them, got ["client_ip","header"]',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s, dryrun: true } }',
    '.rate_limit: unknown key "dryrun"; did you mean "dry_run"?',
  ],
  [
    '{ upstream: api, rate_limits: [{ rate: 1/s }, { rate: 0/m }] }',
    '.rate_limits[1].rate: expected a rate such as "10/s", "600/m", "100/h" or "5000/d", got "0/m"',
  ],
  [
    '{ upstream: api, rate_limits: [{ rate: 1/s, name: a }, { rate: 9/m, name: a }] }',
    '.rate_limits: expected a name of its own for each limit',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s }, rate_limits: [{ rate: 9/m }] }',
    ': expected either "rate_limit" or "rate_limits"',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s, burst: 0 } }',
    '.rate_limit.burst: expected at least 1, got 0',
  ],
  [
    '{ upstream: api, rate_limit: { rate: 1/s, key: client_id } }',
    '.rate_limit.key: expected client_ip, host, path, uri, method, header:NAME, cookie:NAME, or a list of up to 8 of them, got "client_id"',
  ],
  ['{ upstream: api, auth: {} }', '.auth.api_key: expected a mapping, got nothing'],
  [
    '{ upstream: api, auth: { api_key: { keys: [] } } }',
    '.auth.api_key.keys: expected at least 1 entry, got []',
  ],
  [
    '{ upstream: api, response_headers: { set: { "a b": x } } }',
    '.response_headers.set.a b: expected a header name such as "x-request-id", got "a b"',
  ],
  [
    '{ upstream: api, request_headers: { add: { x: "a\\nb" } } }',
    '.request_headers.add.x: expected text without control characters, got "a\\nb"',
  ],
] as const;

describe('a value is refused', () => {
  for (const [line, says] of values) {
    test(line, () => {
      assert.deepEqual(problemsOf(`version: 1\n${line}\n`), [says]);
    });
  }

  for (const [text, says] of routes) {
    test(text, () => {
      const upstreams = 'upstreams: { api: { peers: ["h:1"] } }';
      const service = `{ listen: ["127.0.0.1:0"], routes: [${text}] }`;
      assert.deepEqual(problemsOf(`version: 1\n${upstreams}\nservices: [${service}]\n`), [
        `services[0].routes[0]${says}`,
      ]);
    });
  }

  test('two services cannot have one name or one address, but any number may leave the port to the system', () => {
    const service = (more: string) =>
      `  - { name: a, listen: [${more}], routes: [{ respond: { status: 200 } }] }\n`;
    const source = `version: 1\nservices:\n${service('127.0.0.1:80, 127.0.0.1:0')}${service('127.0.0.1:0, 127.0.0.1:80')}`;

    assert.deepEqual(problemsOf(source), [
      'services[1].name: the name "a" is taken by another service',
      'services[1].listen[1]: 127.0.0.1:80 is listened on already',
    ]);
  });

  test('what parts say about each other is told along with what is wrong in themselves', () => {
    const source = `version: 1
threads: 0
ca_file: /nowhere/ca.pem
admin: { listen: 127.0.0.1:81, typo: 1 }
upstreams:
  api: { peers: [h:1, h:1, 5], tls: {} }
  broken: { peers: [], typo: 1 }
services:
  - { name: a, listen: [127.0.0.1:80, 5], typo: 1, routes: [{ upstream: apy }, { upstream: broken }] }
  - { name: a, listen: [127.0.0.1:80], routes: [{ respond: { status: 1 } }, 5] }
`;

    assert.deepEqual(problemsOf(source), [
      'threads: expected at least 1, got 0',
      'ca_file: cannot read /nowhere/ca.pem: there is no such file',
      'admin: unknown key "typo"',
      'upstreams.api.peers[1]: h:1 is there twice',
      'upstreams.api.peers[2]: expected "host:port", "unix:/path" or { address, weight, priority, backup }, got 5',
      'upstreams.broken.peers: expected at least 1 entry, or a "discovery"',
      'upstreams.broken: unknown key "typo"',
      'services[0].listen[1]: expected a mapping, got 5',
      'services[0]: unknown key "typo"',
      'services[0].routes[0].upstream: there is no upstream "apy"; did you mean "api"?',
      'services[1].name: the name "a" is taken by another service',
      'services[1].listen[0]: 127.0.0.1:80 is listened on already',
      'services[1].routes[0].respond.status: expected at least 200, got 1',
      'services[1].routes[1]: expected a mapping, got 5',
    ]);
  });

  test('where upstreams are no mapping, nobody complains of the names of theirs', () => {
    const service = '{ listen: ["127.0.0.1:0"], routes: [{ upstream: api }] }';
    assert.deepEqual(problemsOf(`version: 1\nupstreams: []\nservices: [${service}]\n`), [
      'upstreams: expected a mapping, got []',
    ]);
  });

  test('aliases that multiply are no way to fill the memory', () => {
    const tens = (of: string) => `[${Array.from({ length: 10 }, () => of).join(', ')}]`;
    const source = `version: 1\na: &a ${tens('x')}\nb: &b ${tens('*a')}\nc: &c ${tens('*b')}\nd: ${tens('*c')}\n`;

    assert.match(problemsOf(source)[0]!, /Excessive alias count/);
    assert.match(problemsOf('version: 1\nx: *nowhere\n')[0]!, /Unresolved alias.*nowhere/);
  });

  test('a level of the log that the environment made up', () => {
    const result = parseConfig('version: 1\n', 'conf.yaml', { SLUICE_LOG: 'loud' });
    assert.ok(!result.ok);
    assert.match(
      result.problems[0]!.message,
      /^environment variable SLUICE_LOG: expected trace, debug, info, warn or error, got "loud"$/,
    );
  });

  test('a file that cannot be read is one problem that says why', () => {
    const result = loadConfig('/nowhere/conf.yaml', {});
    assert.ok(!result.ok);
    assert.match(
      formatProblems(result.problems, result.source),
      /^\/nowhere\/conf\.yaml:1:1: cannot read the file: ENOENT.*\n1 problem in \/nowhere\/conf\.yaml$/,
    );
  });
});

describe('a problem', () => {
  test('of a line that does not exist is told without a picture', () => {
    const problem = { file: 'f', line: 9, column: 1, path: 'a.b', message: 'no' };
    assert.equal(formatProblem(problem, 'x: 1\n'), 'f:9:1: a.b: no');
  });

  test('points at its column, however long the line number is', () => {
    const problem = { file: 'f', line: 100, column: 3, path: '', message: 'no' };
    const source = `${'\n'.repeat(99)}abcdef`;
    assert.equal(formatProblem(problem, source), 'f:100:3: no\n  100 | abcdef\n          ^');
  });
});

describe('the nearest known word', () => {
  const known = ['threads', 'user', 'upstreams', 'log'];
  const cases: [string, string | undefined][] = [
    ['thread', 'threads'],
    ['Threads', 'threads'],
    ['upstraems', 'upstreams'],
    ['lgo', undefined],
    ['logs', 'log'],
    ['users', 'user'],
    ['team', undefined],
    ['', undefined],
  ];
  for (const [word, meant] of cases) {
    test(`to "${word}" is ${meant ?? 'none'}`, () => {
      assert.equal(nearest(word, known), meant);
    });
  }
});

function textOf(source: string): string {
  const result = parseConfig(source, 'conf.yaml', { SET: 'x' });
  assert.ok(!result.ok, 'it was accepted');
  return formatProblems(result.problems, source);
}

function problemsOf(source: string): string[] {
  const result = parseConfig(source, 'conf.yaml', {});
  assert.ok(!result.ok, 'it was accepted');
  return result.problems.map(({ path, message }) =>
    path === '' ? message : `${path}: ${message}`,
  );
}

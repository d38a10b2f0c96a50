/** Everything that is compared over HTTP/1.1, in the order in which it is run. */
import { haproxy } from '../../support/peers/haproxy.ts';
import { nginx } from '../../support/peers/nginx.ts';
import { fastify, httpProxy } from '../../support/peers/node-peers.ts';
import { files, SMALL_TEXT } from '../../support/peers/origin.ts';
import { sluice } from '../../support/peers/sluice.ts';
import { cpuPerRequest } from './cpu-per-request.ts';
import { IDLE_CONNECTIONS, idleMemory } from './idle-memory.ts';
import { latency } from './latency.ts';
import { phases } from './phases.ts';
import { pipelining } from './pipelining.ts';
import { slowReader } from './slow-reader.ts';
import { contender, type Work } from './work.ts';

const everybody = [
  contender(sluice),
  contender(nginx),
  contender(haproxy),
  contender(httpProxy),
  contender(fastify),
];
const smallGoals = [
  { against: 'nginx', atMost: 1.05, aim: 1 },
  { against: 'http-proxy', atMost: 0.3 },
  { against: 'fastify', atMost: 0.3 },
];
const LOGS = 'All write an access log (HAProxy: into its memory), but not http-proxy and fastify.';

const small = cpuPerRequest({
  name: 'small',
  title: 'small GET (100 B answer), 64 keep-alive connections',
  contenders: everybody,
  baseline: 'nginx',
  goals: smallGoals,
  request: { path: '/' },
  answerBytes: SMALL_TEXT.length,
  notes: [LOGS],
});

/** What a browser sends; with the request line and `Host`, 600 bytes. */
const browserHeaders = {
  'User-Agent':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language': 'en-GB,en;q=0.9,de;q=0.8',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Cache-Control': 'max-age=0',
  Referer: 'https://www.example.com/catalogue',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'same-origin',
  'Upgrade-Insecure-Requests': '1',
  Cookie: 'session=5f2c9a17e0b84d6f; theme=dark; consent=all; visitor=7c1e4b0d92a36f8',
};

const head = cpuPerRequest({
  name: 'head',
  title: 'small GET with the 600-byte head of a browser, 64 keep-alive connections',
  contenders: everybody,
  baseline: 'nginx',
  goals: smallGoals,
  request: { path: '/', headers: browserHeaders },
  answerBytes: SMALL_TEXT.length,
  notes: [LOGS],
});

const withBodies = [
  contender(sluice),
  contender(nginx),
  contender(nginx, { name: 'nginx 64K', buffers: '64 KiB' }),
  contender(haproxy, { name: 'haproxy 64K', buffers: '64 KiB' }),
];
const bodyGoals = [
  { against: 'nginx 64K', atMost: 0.75 },
  { against: 'haproxy 64K', atMost: 1 },
];
const PER_MEGABYTE = '1000 us/req are 1 ms of CPU time per MiB.';

const download = cpuPerRequest({
  name: 'download',
  title: '1 MiB download, 64 keep-alive connections',
  contenders: withBodies,
  baseline: 'nginx 64K',
  goals: bodyGoals,
  request: { path: '/files/1m' },
  answerBytes: files['1m'],
  notes: [PER_MEGABYTE],
});

const upload = cpuPerRequest({
  name: 'upload',
  title: '1 MiB upload, 64 keep-alive connections',
  contenders: withBodies,
  baseline: 'nginx 64K',
  goals: bodyGoals,
  request: { path: '/upload', bodyBytes: files['1m'] },
  answerBytes: SMALL_TEXT.length,
  notes: [
    PER_MEGABYTE,
    'nginx stores an upload in a file before it passes it on; nginx 64K passes it on as it comes, as the others do.',
  ],
});

/**
 * The servers have both cores, as two workers would, and what loads them takes
 * its part of one: so only the CPU times say something, not the requests per
 * second. The servers close first, so TIME_WAIT is on their side, and the client
 * may use a port again at once: it does not run out of them, however long it runs.
 */
const connect = cpuPerRequest({
  name: 'connect',
  title: 'a new connection for every request, 64 at a time, 2 workers',
  contenders: [
    contender(sluice, { workers: 2 }),
    contender(nginx, { workers: 2 }),
    contender(haproxy, { workers: 2 }),
  ],
  baseline: 'nginx',
  goals: [{ against: 'nginx', atMost: 2.1, aim: 1.5 }],
  request: { path: '/', headers: { Connection: 'close' } },
  answerBytes: SMALL_TEXT.length,
  cores: { servers: [0, 1], load: 1, origin: 1 },
});

const memory = idleMemory(
  everybody.map((each) => ({ ...each, setup: { connections: IDLE_CONNECTIONS + 1_000 } })),
);

const servers = [contender(sluice), contender(nginx), contender(haproxy)];

export const works: readonly Work[] = [
  small,
  head,
  download,
  upload,
  connect,
  memory,
  latency(servers),
  slowReader(servers),
  pipelining,
  phases,
];

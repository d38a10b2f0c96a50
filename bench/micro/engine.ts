/**
 * How much of a request is our own code, without the kernel and without Node?
 *
 * A client's connection and a peer's connection over transports that do nothing,
 * in one process: heads are parsed, phases run, answers are composed and logged.
 * Read nanoseconds per request; compare commits, on the same machine, one after
 * the other. The browser's head is what the small one hides; then comes the small
 * one through every phase of a head, each a function that does nothing, and
 * through a dispatch, where the third of three paths matches.
 *
 *     node --conditions=sluice-source bench/micro/engine.ts
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/shared/config/load.ts';
import { createLog } from '../../src/shared/log/log.ts';
import { MetricsLayout } from '../../src/shared/metrics/layout.ts';
import { Recorder } from '../../src/shared/metrics/recorder.ts';
import { Deadlines } from '../../src/shared/time/deadlines.ts';
import { machineTime } from '../../src/shared/time/time.ts';
import { Admission, ConnectionBudget } from '../../src/worker/downstream/admission.ts';
import { Http1Connection } from '../../src/worker/downstream/http1-connection.ts';
import { balancersFrom, gateway } from '../../src/worker/filters/gateway.ts';
import { openAccessLog } from '../../src/worker/observe/access-log.ts';
import { inlineMore } from '../../src/worker/inlining.ts';
import { RequestHeadParser } from '../../src/worker/protocol/http1/request-head.ts';
import { withFilters } from '../../src/worker/proxy/compose.ts';
import type { Filter } from '../../src/worker/proxy/filter.ts';
import { dispatch, type DispatchRoute } from '../../src/worker/proxy/dispatch.ts';
import { openProxy } from '../../src/worker/proxy/open-proxy.ts';
import type { ProxyHttp } from '../../src/worker/proxy/proxy-http.ts';
import { BackgroundSubrequests } from '../../src/worker/proxy/background-subrequests.ts';
import { ProxyService } from '../../src/worker/proxy/proxy-service.ts';
import { RetryPolicy } from '../../src/worker/proxy/retry-policy.ts';
import type { Transport } from '../../src/worker/transport/transport.ts';
import type { Connector } from '../../src/worker/upstream/connector.ts';
import { UpstreamConnection } from '../../src/worker/upstream/http1-connection.ts';
import type { HttpPeer } from '../../src/worker/upstream/peer.ts';

const WARM_UP = 200_000;
const ROUNDS = 100;
const REQUESTS = 6_400;
/** No machine is so slow that a connection would be closed before its turn comes. */
const LONG_MS = 3_600_000;

const CONF = `
version: 1
upstreams:
  origin: { peers: ["127.0.0.1:9"] }
services:
  - name: edge
    listen: ["127.0.0.1:1"]
    routes: [{ upstream: origin }]
`;

const SMALL = ['GET / HTTP/1.1', 'Host: 127.0.0.1:6188', '', ''].join('\r\n');
const BROWSER = [
  'GET /shop/items/4711?color=blue&size=m HTTP/1.1',
  'Host: shop.example.com',
  'Connection: keep-alive',
  'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
  'sec-ch-ua-mobile: ?0',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Referer: https://shop.example.com/items',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
  '',
  '',
].join('\r\n');
const RESPONSE = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Tue, 24 Nov 2026 10:00:00 GMT',
  'Content-Type: text/plain',
  'Content-Length: 100',
  'Connection: keep-alive',
  '',
  'x'.repeat(100),
].join('\r\n');

/** Text is made bytes, as for the kernel: of many pieces that costs more than of few. */
const SENT = Buffer.allocUnsafeSlow(64 * 1024);

/** What was written last stays, so that no engine can find it useless. */
class SilentTransport implements Transport {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 40_000;
  readonly tls = undefined;
  readonly unsentBytes = 0;
  /** Every request has left before its answer comes. */
  handOvers = 0;
  last = '';
  written = 0;

  writeText(latin1: string): boolean {
    this.last = latin1;
    this.written += SENT.latin1Write(latin1, 0);
    return true;
  }
  writeBytes(latin1: string, _bytes: Buffer, from: number, end: number): boolean {
    this.written += latin1.length + end - from;
    return true;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  reset(): void {}
}

function gatewayOf(folder: string): ProxyHttp<unknown> {
  const file = join(folder, 'conf.yaml');
  writeFileSync(file, CONF);
  const loaded = loadConfig(file, {});
  if (!loaded.ok) throw new Error('the configuration of this benchmark is out of date');
  const { settings } = loaded;
  const [service] = settings.services;
  return gateway(
    service!,
    balancersFrom(settings, () => ''),
  );
}

function toThird(proxy: ProxyHttp<unknown>): DispatchRoute[] {
  const paths = ['/first/*', '/second', '/*'];
  return paths.map((path) => ({ match: { path }, proxy }));
}

const nothing: Filter = {
  name: 'nothing',
  earlyRequestFilter() {},
  requestFilter() {},
  proxyUpstreamFilter() {},
  connectedToUpstream() {},
  upstreamRequestFilter() {},
  upstreamResponseFilter() {},
  responseFilter() {},
  logging() {},
};

function openEngine(proxy: ProxyHttp<unknown>) {
  const layout = new MetricsLayout({
    services: ['edge'],
    upstreams: ['origin'],
  });
  const recorder = new Recorder(new Float64Array(layout.slots), layout);
  const deadlines = new Deadlines();
  const peerTransport = new SilentTransport();
  let idle: UpstreamConnection | undefined;
  const connectionTo = (peer: HttpPeer) =>
    new UpstreamConnection(peer, peerTransport, deadlines, {
      onReusable: (connection) => (idle = connection),
      onGone() {},
    });
  let peer: UpstreamConnection | undefined;
  const connector = {
    reuse(wanted: HttpPeer): UpstreamConnection {
      peer ??= connectionTo(wanted);
      const taken = idle ?? peer;
      idle = undefined;
      return taken;
    },
  } as unknown as Connector;
  const log = createLog({ level: 'error', destination: 'stderr' } as never);
  const ofService = {
    name: 'edge',
    connector,
    deadlines,
    time: machineTime,
    recorder,
    accessLog: openAccessLog('/dev/null', { onDropped() {}, onReopenFailed() {} }),
    log,
    maxAttempts: 3,
    retry: new RetryPolicy({}),
    phaseTimeoutMs: 30_000,
    requestTimeoutMs: undefined,
    clientIpField: 'x-forwarded-for' as const,
    forwarding: { via: 'sluice' },
    paths: {},
    subrequests: {
      serve() {},
      background: new BackgroundSubrequests(machineTime, log),
      time: machineTime,
    },
  };
  const opened = openProxy(proxy, (each) => new ProxyService({ ...ofService, proxy: each }));
  const clientTransport = new SilentTransport();
  const client = new Http1Connection(
    clientTransport,
    {
      deadlines,
      headParser: new RequestHeadParser(),
      timeouts: {
        tlsHandshakeMs: LONG_MS,
        requestHeadMs: LONG_MS,
        requestBodyMs: LONG_MS,
        responseWriteMs: LONG_MS,
        tunnelIdleMs: LONG_MS,
        keepAliveMs: LONG_MS,
      },
      limits: { maxBodyBytes: 1_000_000, minRate: 0, maxRequests: Number.MAX_SAFE_INTEGER },
      admission: new Admission(
        { maxConnections: 1_000, maxConnectionsPerClient: 1_000 },
        new ConnectionBudget(1_000),
        undefined,
      ),
      handle: (exchange) => opened.handle(exchange),
      mayConnect: undefined,
      server: { address: '127.0.0.1', port: 1 },
      onHandshakeFailed() {},
    },
    () => {},
  );
  return { client, clientTransport, peerTransport, peer: () => peer! };
}

async function main(): Promise<void> {
  inlineMore();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-micro-'));
  const plain = gatewayOf(folder);
  const engine = openEngine(plain);
  const response = Buffer.from(RESPONSE, 'latin1');
  for (const { name, text, client, clientTransport, peerTransport, peer } of [
    { name: 'small', text: SMALL, ...engine },
    { name: 'browser', text: BROWSER, ...engine },
    { name: 'no-ops', text: SMALL, ...openEngine(withFilters([nothing], plain)) },
    { name: 'dispatch', text: SMALL, ...openEngine(dispatch(toThird(plain))) },
  ]) {
    const request = Buffer.from(text, 'latin1');
    const round = async (count: number) => {
      const before = process.cpuUsage();
      // In turns of a loop, as it would be: the access log is written in between.
      for (let done = 0; done < count; done += 64) {
        for (let each = 0; each < 64; each++) {
          client.onBytes(request, 0, request.length);
          peerTransport.handOvers += 1;
          peer().onBytes(response, 0, response.length);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { user, system } = process.cpuUsage(before);
      return ((user + system) * 1_000) / count;
    };
    await round(WARM_UP);
    const rounds: number[] = [];
    for (let each = 0; each < ROUNDS; each++) rounds.push(await round(REQUESTS));
    const sorted = rounds.toSorted((a, b) => a - b);
    // Short rounds, and of those the quiet ones: what else runs on the machine only ever adds.
    const quiet = sorted[Math.floor(ROUNDS / 10)]!;
    process.stdout.write(
      `${name}: ${quiet.toFixed(0)} ns per request (a tenth of the rounds took less)\n`,
    );
    const asked = peerTransport.last;
    if (!clientTransport.last.startsWith('HTTP/1.1 200') || !asked.startsWith('GET /')) {
      throw new Error(`expected a request and an answer, got ${asked}`);
    }
  }
  rmSync(folder, { recursive: true });
  process.exit(0);
}

await main();

/**
 * `sluice/testing`: runs a proxy in the process of its test. The engine is the
 * real one, from the client's first byte to the access log; clients and peers
 * stand at the ends of connections in memory, and time passes when the test says
 * so. A test waits for no port, no process and no second.
 */
import './runtime-floor.ts';
import { defaultConfig } from '../shared/config/load.ts';
import { formatProblems } from '../shared/config/problem.ts';
import type { Boot } from '../shared/ipc/boot.ts';
import { createSegment, type Segment } from '../shared/memory/segment.ts';
import { standardSegments } from '../shared/memory/segments.ts';
import { MetricsLayout } from '../shared/metrics/layout.ts';
import { MetricsPage, type MetricsSource } from '../shared/metrics/page.ts';
import type { AccessEntry } from '../worker/observe/access-log.ts';
import type { ProxyHttp } from '../worker/proxy/proxy-http.ts';
import { startWorker } from '../worker/start.ts';
import { planOf } from './plan.ts';
import { HttpProxyService, httpProxyService, type ServiceOptions } from './service.ts';
import { collectLog, type LogLine } from './testing/collected-log.ts';
import { HeldTime } from './testing/held-time.ts';
import { MemoryNetwork } from './testing/memory-network.ts';
import { noteNames } from './testing/names.ts';
import { ScriptedPeer } from './testing/scripted-peer.ts';
import { TestClient, type ClientInit } from './testing/test-client.ts';
import type { FetchInit, TestAnswer } from './testing/test-client.ts';
import { version } from './version.ts';

export type { AccessEntry, ClientInit, FetchInit, LogLine, TestAnswer, TestClient };
export type { PeerAnswer, PeerScript, ReceivedRequest } from './testing/scripted-peer.ts';
export type { ScriptedPeer };

export interface TestClock {
  /** Milliseconds, on the scale of `session.startedAt`. */
  now(): number;
  /**
   * Lets so many milliseconds pass: timeouts run out, limits recover, health is
   * probed, each at its own time. First of all, what is under way comes to where it
   * has to wait; timers of your own code are not moved.
   */
  advance(ms: number): Promise<void>;
}

type Testable<Ctx> = ProxyHttp<Ctx> | HttpProxyService;

/** A proxy between its clients and its peers. */
export interface TestWorld extends AsyncDisposable {
  /** Stands still but for `advance`. */
  readonly clock: TestClock;
  /** Is there at every address that has no peer of its own; answers 200 until told otherwise. */
  readonly peer: ScriptedPeer;
  /** The peer at this address, as `HttpPeer` names it: `10.0.0.1:8080`. */
  peerAt(address: string): ScriptedPeer;
  /** A request on a connection of its own. */
  fetch(path: string, init?: FetchInit & ClientInit): Promise<TestAnswer>;
  /** A client with one connection for all its requests. */
  client(init?: ClientInit): TestClient;
  /** The process log. */
  readonly log: readonly LogLine[];
  readonly accessLog: readonly AccessEntry[];
  /** A value of the metrics page, such as `sluice_requests_total{service="proxy",status="200"}`; 0 if it is not there. */
  metric(series: string): Promise<number>;
  close(): Promise<void>;
}

/**
 * Runs the proxy until `close`. Balancers and limiters start with nothing known of peers and
 * nothing spent. TLS to a peer is left out: its options are checked, but no handshake happens.
 *
 * @param proxy your phases, or a service; or a function that makes either, with balancers, limiters
 *   and metrics of their own, whose names are free again after `close`
 * @param options as for `httpProxyService`; a service has its own
 *
 * @example
 * await using world = await testProxy(gateway);
 * world.peer.answer({ status: 503 });
 * assert.equal((await world.fetch('/')).status, 503);
 */
export async function testProxy<Ctx>(
  proxy: Testable<Ctx> | (() => Testable<Ctx>),
  options: ServiceOptions = {},
): Promise<TestWorld> {
  const freeNames = noteNames();
  const made = typeof proxy === 'function' ? proxy() : proxy;
  const service = made instanceof HttpProxyService ? made : httpProxyService(made, options);
  const { name } = service;
  const time = new HeldTime();
  const peer = new ScriptedPeer(time);
  const peers = new Map<string, ScriptedPeer>();
  const network = new MemoryNetwork((address) => peers.get(address) ?? peer);
  const log: LogLine[] = [];
  const accessLog: AccessEntry[] = [];
  let figures: MetricsSource | undefined;
  const boot = bootOf(service);
  const worker = await startWorker({
    boot,
    services: [
      {
        name,
        proxy: service.proxy,
        settings: boot.services[0]!,
        own: service.timing,
        showMetrics(source) {
          figures = source;
          service.showMetrics?.(source);
        },
      },
    ],
    segments: segmentsFor(boot),
    listeners: [
      { service: name, place: { host: '127.0.0.1', port: 0 }, tls: undefined, fd: undefined },
    ],
    slot: 0,
    metricsRow: 1,
    version: version(),
    time,
    log: collectLog(log),
    accessLog: {
      write: (entry) => void accessLog.push(entry),
      reopen() {},
      close: async () => {},
    },
    network,
  });
  worker.take('health-probes');
  await network.settle();

  const close = async () => {
    await worker.drain(0, 0);
    freeNames();
  };
  return {
    clock: { now: time.now, advance: (ms) => time.advance(ms, () => network.settle()) },
    peer,
    peerAt(address) {
      const found = peers.get(address) ?? new ScriptedPeer(time);
      peers.set(address, found);
      return found;
    },
    async fetch(path, init = {}) {
      const client = new TestClient(network, init);
      try {
        return await client.fetch(path, init);
      } finally {
        client.leave();
      }
    },
    client: (init = {}) => new TestClient(network, init),
    log,
    accessLog,
    async metric(series) {
      const text = await new MetricsPage(figures!, 'fleet').text();
      const line = text.split('\n').find((each) => each.startsWith(`${series} `));
      return line === undefined ? 0 : Number(line.slice(series.length + 1));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function bootOf(service: HttpProxyService): Boot {
  const loaded = defaultConfig(process.env);
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems, loaded.source));
  const settings = { ...loaded.settings, threads: 1 };
  return { ...planOf([service], { settings, user: {}, pem: {} }), segments: [] };
}

function segmentsFor(boot: Boot): ReadonlyMap<string, Segment> {
  const specs = [...standardSegments(MetricsLayout.of(boot), 1), ...boot.limits];
  return new Map(specs.map((spec) => [spec.name, createSegment(spec, undefined)]));
}

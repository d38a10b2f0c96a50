/**
 * `sluice/testing`: runs a proxy in the process of its test. The engine is the
 * real one, from the client's first byte to the access log; clients and peers
 * stand at the ends of connections in memory, and time passes when the test says
 * so. A test waits for no port, no process and no second.
 */
import './runtime-floor.ts';
import { connectionDefaults, defaultConfig } from '../shared/config/load.ts';
import { formatProblems } from '../shared/config/problem.ts';
import type { Boot } from '../shared/ipc/boot.ts';
import { createSegment, type Segment } from '../shared/memory/segment.ts';
import { standardSegments } from '../shared/memory/segments.ts';
import { MetricsLayout } from '../shared/metrics/layout.ts';
import { allBalancers, forgetBalancer } from '../worker/balance/load-balancer.ts';
import { allLimiters, forgetLimiter, limiterSpecs } from '../worker/limits/rate-limiter.ts';
import type { AccessEntry } from '../worker/observe/access-log.ts';
import type { ProxyHttp } from '../worker/proxy/proxy-http.ts';
import { startWorker } from '../worker/start.ts';
import type { ServiceOptions } from './service.ts';
import { collectLog, type LogLine } from './testing/collected-log.ts';
import { HeldTime } from './testing/held-time.ts';
import { MemoryNetwork } from './testing/memory-network.ts';
import { ScriptedPeer } from './testing/scripted-peer.ts';
import { TestClient, type ClientInit } from './testing/test-client.ts';
import type { FetchInit, TestAnswer } from './testing/test-client.ts';

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
  close(): Promise<void>;
}

const SERVICE = 'proxy';

/**
 * Runs the proxy until `close`. Balancers and limiters start with nothing known of peers and
 * nothing spent. TLS to a peer is left out: its options are checked, but no handshake happens.
 *
 * @param proxy your phases; or a function that makes them with balancers and limiters of their own,
 *   whose names are free again after `close`
 * @param options as for `httpProxyService`
 *
 * @example
 * await using world = await testProxy(gateway);
 * world.peer.answer({ status: 503 });
 * assert.equal((await world.fetch('/')).status, 503);
 */
export async function testProxy<Ctx>(
  proxy: ProxyHttp<Ctx> | (() => ProxyHttp<Ctx>),
  options: ServiceOptions = {},
): Promise<TestWorld> {
  const before = new Set<unknown>([...allBalancers(), ...allLimiters()]);
  const phases = typeof proxy === 'function' ? proxy() : proxy;
  const time = new HeldTime();
  const peer = new ScriptedPeer(time);
  const peers = new Map<string, ScriptedPeer>();
  const network = new MemoryNetwork((address) => peers.get(address) ?? peer);
  const log: LogLine[] = [];
  const accessLog: AccessEntry[] = [];
  const name = options.name ?? SERVICE;
  const boot = bootOf(name);
  const worker = await startWorker({
    boot,
    // Inside, nothing looks into a context: only the phases that made it do.
    services: [{ name, proxy: phases, settings: boot.services[0]!, own: options }],
    segments: segmentsFor(boot),
    listeners: [
      { service: name, place: { host: '127.0.0.1', port: 0 }, tls: undefined, fd: undefined },
    ],
    metricsRow: 0,
    time,
    log: collectLog(log),
    accessLog: { write: (entry) => void accessLog.push(entry), reopen() {}, close: async () => {} },
    network,
  });
  worker.take('health-probes');
  await network.settle();

  const close = async () => {
    await worker.drain(0, 0);
    for (const each of allBalancers()) if (!before.has(each)) forgetBalancer(each);
    for (const each of allLimiters()) if (!before.has(each)) forgetLimiter(each);
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
    close,
    [Symbol.asyncDispose]: close,
  };
}

function bootOf(service: string): Boot {
  const loaded = defaultConfig(process.env);
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems, loaded.source));
  return {
    settings: { ...loaded.settings, threads: 1 },
    user: {},
    services: [{ name: service, ...connectionDefaults() }],
    upstreams: allBalancers().map(({ name }) => name),
    segments: [],
    pem: {},
  };
}

function segmentsFor({ services, upstreams }: Boot): ReadonlyMap<string, Segment> {
  const { slots } = new MetricsLayout({ services: services.map(({ name }) => name), upstreams });
  const specs = [...standardSegments(slots, 1), ...limiterSpecs()];
  return new Map(specs.map((spec) => [spec.name, createSegment(spec, undefined)]));
}

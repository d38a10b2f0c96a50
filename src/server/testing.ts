/**
 * `sluice/testing`: runs a proxy in the process of its test. The engine is the
 * real one, from the client's first byte to the access log; clients and peers
 * stand at the ends of connections in memory, and time passes when the test says
 * so. A test waits for no port, no process and no second.
 */
import './runtime-floor.ts';
import type { Duplex } from 'node:stream';
import { MetricsPage } from '../shared/metrics/page.ts';
import type { AccessEntry } from '../worker/observe/access-log.ts';
import type { ProxyHttp } from '../worker/proxy/proxy-http.ts';
import { HttpProxyService, httpProxyService, type ServiceOptions } from './service.ts';
import { collectLog, type LogLine } from './testing/collected-log.ts';
import { HeldTime } from './testing/held-time.ts';
import { MemoryNetwork } from './testing/memory-network.ts';
import { noteNames } from './testing/names.ts';
import { ScriptedPeer } from './testing/scripted-peer.ts';
import { connectClient, TestClient, type ClientInit } from './testing/test-client.ts';
import type { FetchInit, TestAnswer } from './testing/test-client.ts';
import { startTestWorker, type TestWorker } from './testing/test-worker.ts';

export type { AccessEntry, ClientInit, FetchInit, LogLine, TestAnswer, TestClient };
export type { PeerAnswer, PeerScript, ReceivedRequest } from './testing/scripted-peer.ts';
export type { ScriptedPeer, TestWorld };

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
  try {
    const made = typeof proxy === 'function' ? proxy() : proxy;
    const service = made instanceof HttpProxyService ? made : httpProxyService(made, options);
    return await TestWorld.of(service, freeNames);
  } catch (thrown) {
    freeNames();
    throw thrown;
  }
}

/** A proxy between its clients and its peers. */
class TestWorld implements AsyncDisposable {
  /** Stands still but for `advance`. */
  readonly clock: TestClock;
  /** Is there at every address that has no peer of its own; answers 200 until told otherwise. */
  readonly peer: ScriptedPeer;
  readonly #log: LogLine[] = [];
  readonly #accessLog: AccessEntry[] = [];
  readonly #time = new HeldTime();
  readonly #peers = new Map<string, ScriptedPeer>();
  readonly #network: MemoryNetwork;
  readonly #freeNames: () => void;
  #running: TestWorker | undefined;

  private constructor(freeNames: () => void) {
    const time = this.#time;
    this.peer = new ScriptedPeer(time);
    this.#network = new MemoryNetwork((address) => this.#peers.get(address) ?? this.peer);
    this.clock = {
      now: time.now,
      advance: (ms) => time.advance(ms, () => this.#network.settle()),
    };
    this.#freeNames = freeNames;
  }

  /** @internal */
  static async of(service: HttpProxyService, freeNames: () => void): Promise<TestWorld> {
    const world = new TestWorld(freeNames);
    await world.#start(service);
    return world;
  }

  async #start(service: HttpProxyService): Promise<void> {
    this.#running = await startTestWorker(service, {
      time: this.#time,
      network: this.#network,
      log: collectLog(this.#log),
      accessLog: {
        write: (entry) => void this.#accessLog.push(entry),
        reopen() {},
        close: () => Promise.resolve(),
      },
    });
    await this.#network.settle();
  }

  /** The peer at this address, as `HttpPeer` names it: `10.0.0.1:8080`. */
  peerAt(address: string): ScriptedPeer {
    const found = this.#peers.get(address) ?? new ScriptedPeer(this.#time);
    this.#peers.set(address, found);
    return found;
  }

  /**
   * A request on a connection of its own; the answer, when all of it is here and the proxy is
   * done with the request.
   *
   * @throws {Error} the connection broke before that
   */
  async fetch(path: string, init: FetchInit & ClientInit = {}): Promise<TestAnswer> {
    const client = this.client(init);
    try {
      return await client.fetch(path, init);
    } finally {
      client.leave();
    }
  }

  /** A client with one connection for all its requests. */
  client(init: ClientInit = {}): TestClient {
    return new TestClient(this.#network, init);
  }

  /** A connection on which the test writes what it likes, for requests that no client makes. */
  connect(init: ClientInit = {}): Duplex {
    return connectClient(this.#network, init);
  }

  /** The process log. */
  get log(): readonly LogLine[] {
    return this.#log;
  }

  get accessLog(): readonly AccessEntry[] {
    return this.#accessLog;
  }

  /** A value of the metrics page, such as `sluice_requests_total{service="proxy",status="200"}`; 0 if it is not there. */
  async metric(series: string): Promise<number> {
    const text = await new MetricsPage(this.#running!.figures, 'fleet').text();
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.slice(series.length + 1));
  }

  async close(): Promise<void> {
    await this.#running!.worker.drain({ idleMs: 0, graceMs: 0, last: [], lastMs: 0 });
    this.#freeNames();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

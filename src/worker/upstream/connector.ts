/** Hands out connections to peers: a pooled one where there is one, else a new one. */
import { isIPv6, type NetConnectOpts } from 'node:net';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Recorder } from '../../shared/metrics/recorder.ts';
import type { Deadlines } from '../../shared/time/deadlines.ts';
import { Transport, type TransportOwner } from '../transport/transport.ts';
import { UpstreamConnection, type ConnectionEvents } from './http1-connection.ts';
import type { HttpPeer } from './peer.ts';
import { Pool } from './pool.ts';

export interface ConnectorOptions {
  readonly deadlines: Deadlines;
  readonly recorder: Recorder;
  /** Idle connections kept in all. */
  readonly poolSize: number;
}

export class Connector {
  readonly #pool: Pool;
  readonly #deadlines: Deadlines;
  readonly #recorder: Recorder;
  readonly #events: ConnectionEvents;
  #closed = false;

  constructor({ deadlines, recorder, poolSize }: ConnectorOptions) {
    this.#pool = new Pool(poolSize);
    this.#deadlines = deadlines;
    this.#recorder = recorder;
    this.#events = {
      onReusable: (connection) => (this.#closed ? connection.close() : this.#pool.put(connection)),
      onGone: (connection) => this.#pool.remove(connection),
    };
  }

  /** A pooled connection, at once; `undefined` if there is none. */
  reuse(peer: HttpPeer): UpstreamConnection | undefined {
    const connection = this.#pool.take(peer.poolKey);
    if (connection !== undefined) this.#recorder.upstream(peer.upstream).reused();
    return connection;
  }

  /**
   * A new connection.
   *
   * @throws {ProxyError} `upstream/connect-refused`, `-timeout` or `-failed`; the peer has seen nothing
   */
  connect(peer: HttpPeer): Promise<UpstreamConnection> {
    return new Promise((resolve, reject) => {
      const attempt = new Attempt(peer, this.#deadlines, reject);
      const transport = Transport.connect(
        targetOf(peer),
        () => attempt,
        () => {
          const connection = attempt.succeed(this.#events);
          this.#recorder.upstream(peer.upstream).opened();
          resolve(connection);
        },
      );
      attempt.transport = transport;
    });
  }

  close(): void {
    this.#closed = true;
    this.#pool.close();
  }
}

function targetOf(peer: HttpPeer): NetConnectOpts {
  const localAddress = isIPv6(peer.host) ? peer.bindToIpv6 : peer.bindToIpv4;
  const target = { host: peer.host, port: peer.port };
  return localAddress === undefined ? target : { ...target, localAddress };
}

/** A connection in the making: owns the transport until it is connected. */
class Attempt implements TransportOwner {
  transport: Transport | undefined;
  deadlineAt: number;
  readonly #peer: HttpPeer;
  readonly #deadlines: Deadlines;
  readonly #reject: (error: ProxyError) => void;
  #connection: UpstreamConnection | undefined;

  constructor(peer: HttpPeer, deadlines: Deadlines, reject: (error: ProxyError) => void) {
    this.#peer = peer;
    this.#deadlines = deadlines;
    this.#reject = reject;
    deadlines.add(this);
    this.deadlineAt = deadlines.now + peer.connectTimeoutMs;
  }

  succeed(events: ConnectionEvents): UpstreamConnection {
    this.#deadlines.remove(this);
    const transport = this.transport!;
    const connection = new UpstreamConnection(this.#peer, transport, this.#deadlines, events);
    this.#connection = connection;
    transport.handTo(connection);
    connection.connected();
    return connection;
  }

  onDeadline(): void {
    const { address, connectTimeoutMs } = this.#peer;
    this.#fail(
      new ProxyError(
        'upstream/connect-timeout',
        `${address} did not accept within ${connectTimeoutMs} ms`,
      ),
    );
    this.transport?.destroy();
  }

  onClosed(error: NodeJS.ErrnoException | undefined): void {
    const code = error?.code;
    const detail = `${this.#peer.address}: ${error?.message ?? 'closed while connecting'}`;
    const refused = code === 'ECONNREFUSED';
    this.#fail(
      new ProxyError(refused ? 'upstream/connect-refused' : 'upstream/connect-failed', detail, {
        cause: error,
      }),
    );
  }

  onBytes(): void {}
  onEnd(): void {}
  onWritable(): void {}

  #fail(error: ProxyError): void {
    if (this.#connection !== undefined) return;
    this.#deadlines.remove(this);
    this.#reject(error);
  }
}

/** Hands out connections to peers: a pooled one where there is one, else a new one. */
import type { ErrorCode } from '../../shared/errors/catalog.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Recorder } from '../../shared/metrics/recorder.ts';
import type { Deadlines, Expiring } from '../../shared/time/deadlines.ts';
import { CertificateRefused, HandshakeFailed } from '../tls/client.ts';
import type { Connected } from '../transport/connect.ts';
import { dial, type Dial, type DialListener, type DialStep } from './dial.ts';
import { UpstreamConnection, type ConnectionEvents } from './http1-connection.ts';
import type { HttpPeer } from './peer.ts';
import { Pool } from './pool.ts';
import { ProxyRefused } from './through-proxy.ts';

export interface ConnectorOptions {
  readonly deadlines: Deadlines;
  readonly recorder: Recorder;
  /** Idle connections kept in all. */
  readonly poolSize: number;
  /** Default: over the network. */
  readonly dial?: Dial | undefined;
}

export class Connector {
  readonly #pool: Pool;
  readonly #deadlines: Deadlines;
  readonly #recorder: Recorder;
  readonly #events: ConnectionEvents;
  readonly #dial: Dial;
  #closed = false;

  constructor({ deadlines, recorder, poolSize, dial: how = dial }: ConnectorOptions) {
    this.#pool = new Pool(poolSize);
    this.#deadlines = deadlines;
    this.#recorder = recorder;
    this.#dial = how;
    this.#events = {
      onReusable: (connection) => (this.#closed ? connection.close() : this.#pool.put(connection)),
      onGone: (connection) => this.#pool.remove(connection),
    };
  }

  /**
   * A connection that is open already, at once; `undefined` if there is none.
   *
   * @param isShareable the request may be sent behind others (`UpstreamConnection.send`)
   * @param proxyHeader what the connection must have begun with
   */
  reuse(peer: HttpPeer, isShareable: boolean, proxyHeader: string): UpstreamConnection | undefined {
    const poolKey = poolKeyOf(peer, proxyHeader);
    const shared = isShareable && peer.pipelining > 1 ? this.#pool.takeShared(poolKey) : undefined;
    const connection = shared ?? this.#pool.take(poolKey);
    if (connection !== undefined) this.#recorder.upstream(peer.upstream).reused();
    return connection;
  }

  /**
   * A new connection.
   *
   * @param proxyHeader of the PROXY protocol, sent before anything else; empty: none
   * @throws {ProxyError} `upstream/connect-refused`, `-timeout` or `-failed`,
   *   `upstream/proxy-refused`, `upstream/tls-handshake-failed`,
   *   `upstream/certificate-refused`; the peer has seen no request
   */
  connect(peer: HttpPeer, proxyHeader: string): Promise<UpstreamConnection> {
    const poolKey = poolKeyOf(peer, proxyHeader);
    return new Promise((resolve, reject) => {
      const succeed = (connected: Connected) => {
        this.#recorder.upstream(peer.upstream).opened();
        connected((transport) => {
          const connection = new UpstreamConnection(
            peer,
            transport,
            this.#deadlines,
            this.#events,
            poolKey,
          );
          if (peer.pipelining > 1) this.#pool.share(connection);
          resolve(connection);
          return connection;
        });
      };
      new Attempt(peer, this.#deadlines, succeed, reject).start(this.#dial, proxyHeader);
    });
  }

  /** One of the two above that nothing was sent on. */
  giveBack(connection: UpstreamConnection): void {
    if (connection.isIdle) this.#events.onReusable(connection);
    else connection.close();
  }

  close(): void {
    this.#closed = true;
    this.#pool.close();
  }
}

/** What a peer was told about a client holds for that client only. */
function poolKeyOf({ poolKey }: HttpPeer, proxyHeader: string): string {
  return proxyHeader === '' ? poolKey : `${poolKey}\0${proxyHeader}`;
}

function codeOf(error: NodeJS.ErrnoException): ErrorCode {
  if (error instanceof CertificateRefused) return 'upstream/certificate-refused';
  if (error instanceof ProxyRefused) return 'upstream/proxy-refused';
  if (error instanceof HandshakeFailed) return 'upstream/tls-handshake-failed';
  return error.code === 'ECONNREFUSED' ? 'upstream/connect-refused' : 'upstream/connect-failed';
}

const MISSING: Readonly<Record<DialStep, string>> = {
  connection: 'no connection',
  proxy: 'no answer of the proxy',
  handshake: 'no end of the TLS handshake',
};

/** A connection in the making. */
class Attempt implements DialListener, Expiring {
  deadlineAt: number;
  readonly #peer: HttpPeer;
  readonly #deadlines: Deadlines;
  readonly #succeed: (connected: Connected) => void;
  readonly #reject: (error: ProxyError) => void;
  readonly #endsAt: number;
  #step: DialStep = 'connection';
  #stop: (() => void) | undefined;

  constructor(
    peer: HttpPeer,
    deadlines: Deadlines,
    succeed: (connected: Connected) => void,
    reject: (error: ProxyError) => void,
  ) {
    this.#peer = peer;
    this.#deadlines = deadlines;
    this.#succeed = succeed;
    this.#reject = reject;
    deadlines.add(this);
    this.#endsAt = deadlines.now + peer.totalConnectTimeoutMs;
    this.deadlineAt = this.#stepEndsAt();
  }

  start(dialPeer: Dial, proxyHeader: string): void {
    this.#stop = dialPeer(this.#peer, this, proxyHeader);
  }

  #stepEndsAt(): number {
    return Math.min(this.#endsAt, this.#deadlines.now + this.#peer.connectTimeoutMs);
  }

  onStep(step: DialStep): void {
    this.#step = step;
    this.deadlineAt = this.#stepEndsAt();
  }

  onConnected(connected: Connected): void {
    this.#deadlines.remove(this);
    this.#succeed(connected);
  }

  onFailed(error: NodeJS.ErrnoException): void {
    this.#fail(codeOf(error), error.message, error);
  }

  onDeadline(): void {
    this.#stop?.();
    const { connectTimeoutMs, totalConnectTimeoutMs } = this.#peer;
    const isTotal = this.#deadlines.now >= this.#endsAt;
    const within = isTotal ? `${totalConnectTimeoutMs} ms in all` : `${connectTimeoutMs} ms`;
    this.#fail('upstream/connect-timeout', `${MISSING[this.#step]} within ${within}`);
  }

  #fail(code: ErrorCode, detail: string, cause?: Error): void {
    this.#deadlines.remove(this);
    this.#reject(new ProxyError(code, `${this.#peer.address}: ${detail}`, { cause }));
  }
}

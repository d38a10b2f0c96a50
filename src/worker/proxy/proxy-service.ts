/** A `ProxyHttp` in a worker, with everything a request of it needs. */
import { performance } from 'node:perf_hooks';
import type { Log } from '../../shared/log/log.ts';
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Recorder, ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { ClientAddress, Exchange } from '../http/exchange.ts';
import type { ForwardedOptions } from '../http/forwarded.ts';
import type { PathAllowances } from '../http/path.ts';
import type { AccessLog } from '../observe/access-log.ts';
import type { Connector } from '../upstream/connector.ts';
import { asProxyError, nextRequestId, Session } from './session.ts';
import type { Phases, ProxyHttp } from './proxy-http.ts';

export interface ProxyServiceParts {
  readonly name: string;
  readonly proxy: ProxyHttp<unknown>;
  readonly connector: Connector;
  readonly recorder: Recorder;
  readonly accessLog: AccessLog;
  readonly log: Log;
  /** Attempts in all, the first one included. */
  readonly maxAttempts: number;
  /** What peers are told about clients, and whose word about them is believed. */
  readonly forwarding: ForwardedOptions;
  readonly paths: PathAllowances;
}

export class ProxyService {
  readonly name: string;
  readonly phases: Phases<unknown>;
  readonly connector: Connector;
  readonly recorder: Recorder;
  readonly maxAttempts: number;
  readonly forwarding: ForwardedOptions;
  readonly paths: PathAllowances;
  readonly #newCtx: (() => unknown) | undefined;
  readonly #figures: ServiceRecorder;
  readonly #accessLog: AccessLog;
  readonly #log: Log;

  constructor(parts: ProxyServiceParts) {
    this.name = parts.name;
    this.phases = parts.proxy;
    this.connector = parts.connector;
    this.recorder = parts.recorder;
    this.maxAttempts = parts.maxAttempts;
    this.forwarding = parts.forwarding;
    this.paths = parts.paths;
    this.#newCtx = parts.proxy.newCtx?.bind(parts.proxy);
    this.#figures = parts.recorder.service(parts.name);
    this.#accessLog = parts.accessLog;
    this.#log = parts.log;
  }

  openSession(exchange: Exchange): Session {
    this.#figures.requestStarted();
    return new Session(exchange, {
      service: this.name,
      figures: this.#figures,
      log: this.#log,
      trusts: this.forwarding.trusts,
    });
  }

  newCtx(): unknown {
    return this.#newCtx?.();
  }

  /** A request that could not be read, and got no session: counted and logged all the same. */
  refused(error: ProxyError, status: number, client: ClientAddress): void {
    this.#figures.requestStarted();
    this.#figures.failed(error.code);
    this.#figures.requestEnded(status, 0, 0, 0);
    const requestId = nextRequestId();
    // At debug, since anyone can make as many of these as they like.
    this.#log.debug(
      { err: error, service: this.name, client: client.address, status, requestId },
      'request refused',
    );
    this.#accessLog.write({
      time: Date.now(),
      service: this.name,
      client: client.address,
      method: '-',
      target: '-',
      version: '-',
      status,
      bytesSent: 0,
      bytesReceived: 0,
      durationMs: 0,
      upstream: undefined,
      error,
      requestId,
    });
  }

  /** The last thing that happens to a request: the program's `logging`, figures, one access-log line. */
  closeSession(session: Session, error: ProxyError | undefined): void {
    try {
      this.phases.logging?.(session, error);
    } catch (thrown) {
      session.log.error({ err: asProxyError(thrown) }, 'the logging phase threw');
    }
    const durationMs = performance.now() - session.startedAt;
    if (error !== undefined) this.#figures.failed(error.code);
    this.#figures.requestEnded(
      session.status,
      durationMs / 1000,
      session.bytesReceived,
      session.bytesSent,
    );
    this.#accessLog.write({
      time: Date.now(),
      service: this.name,
      client: session.clientIp,
      method: session.request.method,
      target: session.originalTarget,
      version: session.request.version,
      status: session.status,
      bytesSent: session.bytesSent,
      bytesReceived: session.bytesReceived,
      durationMs,
      upstream: session.peer?.address,
      error,
      requestId: session.requestId,
    });
  }
}

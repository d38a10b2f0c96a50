/** A `ProxyHttp` in a worker, with everything a request of it needs. */
import type { Log } from '../../shared/log/log.ts';
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Recorder, ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { Deadlines } from '../../shared/time/deadlines.ts';
import type { Time } from '../../shared/time/time.ts';
import type { Exchange, SocketAddress } from '../http/exchange.ts';
import type { ClientAddressRules, ClientIpField } from '../http/client-address.ts';
import type { ForwardedOptions } from '../http/forwarded.ts';
import type { PathAllowances } from '../http/path.ts';
import type { AccessLog } from '../observe/access-log.ts';
import type { Connector } from '../upstream/connector.ts';
import { requestBodyPhases, responseBodyPhases } from './body-phases.ts';
import type { BodyPhases } from './filtered-body.ts';
import { isPending, type PhaseName, type Phases, type ProxyHttp } from './proxy-http.ts';
import type { RetryPolicy } from './retry-policy.ts';
import { asProxyError, Session } from './session.ts';
import type { SubrequestHost } from './subrequests.ts';

export interface ProxyServiceParts {
  readonly name: string;
  readonly proxy: ProxyHttp<unknown>;
  readonly connector: Connector;
  readonly deadlines: Deadlines;
  readonly time: Time;
  readonly recorder: Recorder;
  readonly accessLog: AccessLog;
  readonly log: Log;
  /** Attempts in all, the first one included. */
  readonly maxAttempts: number;
  readonly retry: RetryPolicy;
  /** For a phase that returns a promise. */
  readonly phaseTimeoutMs: number;
  /** For a response to begin, over all attempts; `undefined`: each wait has a bound of its own, and that is all. */
  readonly requestTimeoutMs: number | undefined;
  /** What peers are told about clients, and whose word about them is believed. */
  readonly forwarding: ForwardedOptions;
  /** Where trusted proxies say who the client is. */
  readonly clientIpField: ClientIpField;
  readonly paths: PathAllowances;
  readonly subrequests: SubrequestHost;
}

export class ProxyService {
  readonly name: string;
  readonly phases: Phases<unknown>;
  readonly connector: Connector;
  readonly deadlines: Deadlines;
  readonly time: Time;
  readonly recorder: Recorder;
  readonly maxAttempts: number;
  readonly retry: RetryPolicy;
  readonly phaseTimeoutMs: number;
  readonly requestTimeoutMs: number | undefined;
  /** `responseFilter` also sees answers that no peer has given. */
  readonly filtersOwnAnswers: boolean;
  /** What bodies of requests pass on their way up; `undefined`: nothing looks at them. */
  readonly requestBodies: BodyPhases | undefined;
  /** What bodies of responses pass on their way down; `undefined`: nothing looks at them. */
  readonly responseBodies: BodyPhases | undefined;
  readonly forwarding: ForwardedOptions;
  readonly paths: PathAllowances;
  readonly #clientRules: ClientAddressRules;
  readonly #subrequests: SubrequestHost;
  readonly #newCtx: (() => unknown) | undefined;
  readonly #figures: ServiceRecorder;
  readonly #accessLog: AccessLog;
  readonly #log: Log;

  constructor(parts: ProxyServiceParts) {
    this.name = parts.name;
    this.phases = parts.proxy;
    this.connector = parts.connector;
    this.deadlines = parts.deadlines;
    this.time = parts.time;
    this.recorder = parts.recorder;
    this.maxAttempts = parts.maxAttempts;
    this.retry = parts.retry;
    this.phaseTimeoutMs = parts.phaseTimeoutMs;
    this.requestTimeoutMs = parts.requestTimeoutMs;
    this.filtersOwnAnswers = parts.proxy.responseFilterFor === 'all-answers';
    this.requestBodies = requestBodyPhases(this.phases);
    this.responseBodies = responseBodyPhases(this.phases);
    this.forwarding = parts.forwarding;
    this.paths = parts.paths;
    this.#clientRules = { trusts: parts.forwarding.trusts, field: parts.clientIpField };
    this.#subrequests = parts.subrequests;
    this.#newCtx = parts.proxy.newCtx?.bind(parts.proxy);
    this.#figures = parts.recorder.service(parts.name);
    this.#accessLog = parts.accessLog;
    this.#log = parts.log;
  }

  openSession(exchange: Exchange): Session {
    if (exchange.parent === undefined) this.#figures.requestStarted();
    return new Session(exchange, {
      service: this.name,
      figures: this.#figures,
      log: this.#log,
      time: this.time,
      clientRules: this.#clientRules,
      subrequests: this.#subrequests,
    });
  }

  newCtx(): unknown {
    return this.#newCtx?.();
  }

  get mayConnect(): ((client: SocketAddress, server: SocketAddress) => boolean) | undefined {
    if (this.phases.connectionFilter === undefined) return undefined;
    return (client, server) => this.#mayConnect(client, server);
  }

  #mayConnect(client: SocketAddress, server: SocketAddress): boolean {
    try {
      return this.phases.connectionFilter!({ client, server }) !== 'refuse';
    } catch (thrown) {
      const err = asProxyError(thrown, 'connectionFilter');
      const fields = { err, phase: err.phase, service: this.name, client: client.address };
      this.#log.error(fields, 'a phase threw');
      return false;
    }
  }

  /** One more retry that somebody asked for may run; it ends with `retry.give`. */
  takeRetry(): boolean {
    return this.retry.take(this.#figures.requestsInFlight);
  }

  /** What the process log says about a request that failed. */
  logFailure(session: Session, error: ProxyError): void {
    const isSuppressed = this.#guarded('suppressErrorLog', session, () =>
      this.phases.suppressErrorLog?.(session, error),
    );
    if (isSuppressed === true) return;
    const { phase } = error;
    const fields = {
      err: error,
      ...(phase !== undefined && { phase }),
      peer: session.peer?.address,
      attempts: session.attempts,
      ...(session.failedAttempts && { before: session.failedAttempts }),
      request: this.summaryOf(session),
    };
    if (error.code === 'internal/phase-timeout') session.log.error(fields, 'a phase did not end');
    else if (phase !== undefined) session.log.error(fields, 'a phase threw');
    else if (error.facts.side === 'internal') session.log.error(fields, 'request failed');
    else if (error.facts.side === 'upstream') session.log.warn(fields, 'request failed');
    // At debug, since anyone can make as many of these as they like.
    else session.log.debug(fields, 'request failed');
  }

  /** One line for all attempts: an outage must not fill the disk. */
  #logFailedAttempts(session: Session): void {
    const { peer, failedAttempts: before, attempts } = session;
    const fields = { before, peer: peer?.address, attempts, request: this.summaryOf(session) };
    session.log.warn(fields, 'request needed more than one attempt');
  }

  /** What the process log calls the request. */
  summaryOf(session: Session): string {
    const own = this.#guarded('requestSummary', session, () =>
      this.phases.requestSummary?.(session),
    );
    if (own !== undefined) return own;
    const { method, authority } = session.request;
    if (method === '') return 'a request that could not be read';
    return `${method} ${session.originalTarget}, Host: ${authority}`;
  }

  /** What the next request of the connection is to find. */
  contextToKeep(session: Session): unknown {
    return this.#guarded('persistConnectionContext', session, () =>
      this.phases.persistConnectionContext?.(session),
    );
  }

  /** For phases that must not be able to fail a request. */
  #guarded<T>(phase: PhaseName, session: Session, run: () => T): T | undefined {
    try {
      return run();
    } catch (thrown) {
      this.#logPhase(phase, session, thrown);
      return undefined;
    }
  }

  #logPhase(phase: PhaseName, session: Session, thrown: unknown): void {
    session.log.error({ err: asProxyError(thrown, phase), phase }, 'a phase threw');
  }

  /** The last thing that happens to a request: the program's `logging`, figures, one access-log line. */
  closeSession(session: Session, error: ProxyError | undefined): void {
    session.endSubrequests();
    if (this.phases.logging !== undefined) this.#runLogging(session, error);
    const durationMs = session.elapsedMs;
    const wasRead = session.request.method !== '';
    if (error === undefined && session.failedAttempts !== undefined) {
      this.#logFailedAttempts(session);
    }
    this.#count(session, durationMs, error);
    this.#accessLog.write({
      time: Date.now(),
      service: this.name,
      client: session.clientIp,
      method: wasRead ? session.request.method : '-',
      target: wasRead ? session.originalTarget : '-',
      version: wasRead ? session.request.version : '-',
      status: session.status,
      bytesSent: session.bytesSent,
      bytesReceived: session.bytesReceived,
      durationMs,
      upstream: session.peer?.address,
      error,
      requestId: session.requestId,
      subrequestOf: session.parent?.requestId,
    });
  }

  #count(session: Session, durationMs: number, error: ProxyError | undefined): void {
    if (session.parent !== undefined) return this.#figures.subrequestEnded();
    const { status, bytesReceived, bytesSent } = session;
    if (error !== undefined) this.#figures.failed(error.code);
    this.#figures.requestEnded(status, durationMs / 1_000, bytesReceived, bytesSent);
  }

  #runLogging(session: Session, error: ProxyError | undefined): void {
    try {
      const done = this.phases.logging!(session, error);
      if (isPending(done)) {
        done.catch((thrown: unknown) => this.#logPhase('logging', session, thrown));
      }
    } catch (thrown) {
      this.#logPhase('logging', session, thrown);
    }
  }
}

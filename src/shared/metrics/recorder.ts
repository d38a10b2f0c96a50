/**
 * What a worker counts with: plain additions to its own row of shared memory,
 * some nanoseconds each, no lock and no allocation.
 */
import { errorCodes, type ErrorCode } from '../errors/catalog.ts';
import { DURATION_BUCKETS } from './buckets.ts';
import {
  ProcessSlot,
  ServiceSlot,
  UpstreamSlot,
  WORKER_STATES,
  type MetricsLayout,
  type WorkerState,
} from './layout.ts';

export class Recorder {
  readonly #row: Float64Array;
  readonly #services = new Map<string, ServiceRecorder>();
  readonly #upstreams = new Map<string, UpstreamRecorder>();

  /** @param row of this process; nobody else may write to it */
  constructor(row: Float64Array, layout: MetricsLayout) {
    this.#row = row;
    for (const name of layout.services)
      this.#services.set(name, new ServiceRecorder(row, layout.serviceStart(name)));
    for (const name of layout.upstreams) {
      this.#upstreams.set(name, new UpstreamRecorder(row, layout.upstreamStart(name)!));
    }
  }

  service(name: string): ServiceRecorder {
    const recorder = this.#services.get(name);
    if (recorder === undefined) throw new Error(`no figures are kept for a service "${name}"`);
    return recorder;
  }

  /** Peers that a program makes by itself, without a balancer, are not counted one by one. */
  upstream(name: string): UpstreamRecorder {
    return this.#upstreams.get(name) ?? UNCOUNTED;
  }

  /** Once a second: it is a sign of life, too. */
  processFigures(residentBytes: number, cpuSeconds: number, eventLoopDelaySeconds: number): void {
    this.#row[ProcessSlot.residentBytes] = residentBytes;
    this.#row[ProcessSlot.cpuSeconds] = cpuSeconds;
    this.#row[ProcessSlot.eventLoopDelay] = eventLoopDelaySeconds;
    this.#row[ProcessSlot.beats]! += 1;
  }

  /** @param slot of this worker, from 0 */
  workerState(slot: number, state: WorkerState): void {
    this.#row[ProcessSlot.worker] = slot + 1;
    this.#row[ProcessSlot.state] = WORKER_STATES.indexOf(state);
  }
}

const ERROR_INDEX = new Map<ErrorCode, number>(errorCodes.map((code, index) => [code, index]));

export class ServiceRecorder {
  readonly #row: Float64Array;
  readonly #start: number;

  constructor(row: Float64Array, start: number) {
    this.#row = row;
    this.#start = start;
  }

  requestStarted(): void {
    this.#add(ServiceSlot.inFlight, 1);
  }

  /** Of this worker. */
  get requestsInFlight(): number {
    return this.#row[this.#start + ServiceSlot.inFlight]!;
  }

  /** @param status as sent to the client; 0 if nobody was there to read one */
  requestEnded(status: number, seconds: number, bytesReceived: number, bytesSent: number): void {
    this.#add(ServiceSlot.inFlight, -1);
    this.#add(ServiceSlot.statuses + status, 1);
    this.#add(ServiceSlot.requestBytes, bytesReceived);
    this.#add(ServiceSlot.responseBytes, bytesSent);
    this.#add(ServiceSlot.durationSum, seconds);
    let bucket = 0;
    while (bucket < DURATION_BUCKETS.length && seconds > DURATION_BUCKETS[bucket]!) bucket += 1;
    this.#add(ServiceSlot.durations + bucket, 1);
  }

  /** Of a connection that carries no requests. */
  bytesPassed(received: number, sent: number): void {
    this.#add(ServiceSlot.requestBytes, received);
    this.#add(ServiceSlot.responseBytes, sent);
  }

  /** A request that no client has sent; it counts nowhere else. */
  subrequestEnded(): void {
    this.#add(ServiceSlot.subrequests, 1);
  }

  failed(code: ErrorCode): void {
    this.#add(ServiceSlot.errors + ERROR_INDEX.get(code)!, 1);
  }

  connectionOpened(): void {
    this.#add(ServiceSlot.connectionsAccepted, 1);
    this.#add(ServiceSlot.connectionsOpen, 1);
  }

  connectionRefused(reason: 'full' | 'per-client'): void {
    this.#add(reason === 'full' ? ServiceSlot.refusedFull : ServiceSlot.refusedPerClient, 1);
  }

  connectionClosed(): void {
    this.#add(ServiceSlot.connectionsOpen, -1);
  }

  handshakeEnded(result: 'done' | 'failed'): void {
    const isDone = result === 'done';
    this.#add(isDone ? ServiceSlot.handshakesDone : ServiceSlot.handshakesFailed, 1);
  }

  limitAllowed(): void {
    this.#add(ServiceSlot.limitAllowed, 1);
  }

  limitRefused(): void {
    this.#add(ServiceSlot.limitRefused, 1);
  }

  #add(slot: number, amount: number): void {
    this.#row[this.#start + slot]! += amount;
  }
}

export class UpstreamRecorder {
  readonly #row: Float64Array;
  readonly #start: number;

  constructor(row: Float64Array, start: number) {
    this.#row = row;
    this.#start = start;
  }

  opened(): void {
    this.#row[this.#start + UpstreamSlot.opened]! += 1;
  }

  reused(): void {
    this.#row[this.#start + UpstreamSlot.reused]! += 1;
  }

  retried(): void {
    this.#row[this.#start + UpstreamSlot.retried]! += 1;
  }

  ejected(): void {
    this.#row[this.#start + UpstreamSlot.ejected]! += 1;
  }
}

const UNCOUNTED = new UpstreamRecorder(new Float64Array(4), 0);

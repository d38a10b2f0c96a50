/** What it means for a peer to be well, and how sure one has to be before saying otherwise. */
import { refuseNoTime, refuseUnknown } from '../../shared/config/options.ts';
import type { HttpHealthCheck } from './http-health-check.ts';

/** How peers of an upstream are looked at. A protocol that needs another way is another class here. */
export type HealthCheck = TcpHealthCheck | HttpHealthCheck;

/** What every way of looking at a peer has in common. */
export interface HealthCheckOptions {
  /** For one probe, from the connection to its end. Default 1,000 ms. */
  readonly timeoutMs?: number;
  /** Successes in a row before an ill peer is used again. Default 1. */
  readonly consecutiveSuccess?: number;
  /** Failures in a row before a healthy peer is left alone. Default 1. */
  readonly consecutiveFailure?: number;
  /** Where probes go instead of the peer’s own port. Not for peers on Unix sockets. */
  readonly port?: number;
}

export type TcpHealthCheckOptions = HealthCheckOptions;

/** Of every health check. */
export const COMMON_OPTIONS = {
  timeoutMs: true,
  consecutiveSuccess: true,
  consecutiveFailure: true,
  port: true,
} as const;

/** What follows from the options that every check has. */
export interface Thresholds {
  readonly timeoutMs: number;
  readonly consecutiveSuccess: number;
  readonly consecutiveFailure: number;
  readonly port: number | undefined;
}

/** @throws {TypeError} a number makes no sense */
export function thresholdsFrom(caller: string, options: HealthCheckOptions): Thresholds {
  const { timeoutMs = 1_000, consecutiveSuccess = 1, consecutiveFailure = 1, port } = options;
  refuseNoTime(caller, { timeoutMs });
  for (const [name, count] of Object.entries({ consecutiveSuccess, consecutiveFailure })) {
    if (!Number.isSafeInteger(count) || count < 1)
      throw new TypeError(`${caller}: ${name}: expected a whole number from 1 on, got ${count}`);
  }
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new TypeError(`${caller}: port: expected 1 to 65535, got ${port}`);
  return { timeoutMs, consecutiveSuccess, consecutiveFailure, port };
}

/** A peer is healthy if it accepts a TCP connection; the connection is closed again at once. */
export class TcpHealthCheck implements Thresholds {
  readonly type = 'tcp';
  readonly timeoutMs: number;
  readonly consecutiveSuccess: number;
  readonly consecutiveFailure: number;
  readonly port: number | undefined;

  /** @throws {TypeError} an option is unknown, or makes no sense */
  constructor(options: TcpHealthCheckOptions = {}) {
    refuseUnknown('TcpHealthCheck', options, COMMON_OPTIONS);
    const thresholds = thresholdsFrom('TcpHealthCheck', options);
    this.timeoutMs = thresholds.timeoutMs;
    this.consecutiveSuccess = thresholds.consecutiveSuccess;
    this.consecutiveFailure = thresholds.consecutiveFailure;
    this.port = thresholds.port;
  }
}

/** What is known of one peer between two probes. */
export interface Standing {
  readonly verdict: 'unknown' | 'healthy' | 'ill';
  /** Results in a row that speak against the verdict. */
  readonly contrary: number;
}

/** The standing after one more result. Pure: the prober does the rest. */
export function judge(
  before: Standing,
  succeeded: boolean,
  check: Pick<Thresholds, 'consecutiveSuccess' | 'consecutiveFailure'>,
): Standing {
  const agrees = before.verdict === (succeeded ? 'healthy' : 'ill');
  if (agrees) return { verdict: before.verdict, contrary: 0 };
  const contrary = before.contrary + 1;
  const needed = succeeded ? check.consecutiveSuccess : check.consecutiveFailure;
  // The first result about an unknown peer that is well needs no confirmation: it is used anyway.
  const convinced = contrary >= needed || (before.verdict === 'unknown' && succeeded);
  if (!convinced) return { verdict: before.verdict, contrary };
  return { verdict: succeeded ? 'healthy' : 'ill', contrary: 0 };
}

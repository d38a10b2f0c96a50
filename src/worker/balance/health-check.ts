/** What it means for a peer to be well, and how sure one has to be before saying otherwise. */
import { refuseUnknown } from '../../shared/config/options.ts';

export interface TcpHealthCheckOptions {
  /** For one probe. Default 1,000 ms. */
  readonly timeoutMs?: number;
  /** Successes in a row before an ill peer is used again. Default 1. */
  readonly consecutiveSuccess?: number;
  /** Failures in a row before a healthy peer is left alone. Default 1. */
  readonly consecutiveFailure?: number;
}

const OPTIONS = { timeoutMs: true, consecutiveSuccess: true, consecutiveFailure: true } as const;

/** A peer is healthy if it accepts a TCP connection; the connection is closed again at once. */
export class TcpHealthCheck {
  readonly timeoutMs: number;
  readonly consecutiveSuccess: number;
  readonly consecutiveFailure: number;

  /** @throws {TypeError} an option is unknown */
  constructor(options: TcpHealthCheckOptions = {}) {
    refuseUnknown('TcpHealthCheck', options, OPTIONS);
    this.timeoutMs = options.timeoutMs ?? 1_000;
    this.consecutiveSuccess = options.consecutiveSuccess ?? 1;
    this.consecutiveFailure = options.consecutiveFailure ?? 1;
  }
}

/** What is known of one peer between two probes. */
export interface Standing {
  readonly verdict: 'unknown' | 'healthy' | 'ill';
  /** Results in a row that speak against the verdict. */
  readonly contrary: number;
}

/** The standing after one more result. Pure: the prober does the rest. */
export function judge(before: Standing, succeeded: boolean, check: TcpHealthCheck): Standing {
  const agrees = before.verdict === (succeeded ? 'healthy' : 'ill');
  if (agrees) return { verdict: before.verdict, contrary: 0 };
  const contrary = before.contrary + 1;
  const needed = succeeded ? check.consecutiveSuccess : check.consecutiveFailure;
  // The first result about an unknown peer that is well needs no confirmation: it is used anyway.
  const convinced = contrary >= needed || (before.verdict === 'unknown' && succeeded);
  if (!convinced) return { verdict: before.verdict, contrary };
  return { verdict: succeeded ? 'healthy' : 'ill', contrary: 0 };
}

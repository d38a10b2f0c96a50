/** What a configuration file says about the health of peers and their load, as the options of a balancer. */
import type { UpstreamSettings } from '../../shared/config/settings.ts';
import type { CircuitBreakerOptions } from '../balance/request-gate.ts';
import type { OutlierDetectionOptions } from '../balance/outlier-detection.ts';
import { TcpHealthCheck, type HealthCheck } from '../balance/health-check.ts';
import { HttpHealthCheck } from '../balance/http-health-check.ts';

type HealthCheckSettings = NonNullable<UpstreamSettings['health_check']>;

export function healthCheckFrom(settings: HealthCheckSettings): HealthCheck {
  const common = {
    timeoutMs: settings.timeout,
    consecutiveSuccess: settings.consecutive_success,
    consecutiveFailure: settings.consecutive_failure,
    ...(settings.port !== undefined && { port: settings.port }),
  };
  if (settings.type === 'tcp') return new TcpHealthCheck(common);
  const { path, method, host, headers = {}, statuses, keep_alive: keepAlive } = settings;
  const { body_pattern: pattern } = settings;
  const body = pattern === undefined ? settings.body : new RegExp(pattern, 'm');
  return new HttpHealthCheck({
    ...common,
    path,
    method,
    ...(host !== undefined && { host }),
    headers,
    statuses,
    ...(body !== undefined && { body }),
    keepAlive,
  });
}

export function outlierDetectionFrom(
  settings: UpstreamSettings['outlier_detection'],
): OutlierDetectionOptions {
  return {
    consecutiveFailures: settings.consecutive_failures,
    consecutive5xx: settings.consecutive_5xx,
    baseEjectionMs: settings.base_ejection_time,
    maxEjectionMs: settings.max_ejection_time,
    maxEjectionPercent: settings.max_ejection_percent,
  };
}

export function circuitBreakerFrom(
  settings: NonNullable<UpstreamSettings['circuit_breaker']>,
): CircuitBreakerOptions {
  return {
    maxRequests: settings.max_requests,
    maxPending: settings.max_pending,
    pendingTimeoutMs: settings.pending_timeout,
  };
}

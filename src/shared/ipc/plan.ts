/**
 * Everything the supervisor needs to know of a program to run it: what its main
 * module built from the configuration, as plain data. The first process makes the
 * first plan of its own evaluation; for a reload a throw-away process makes the
 * next one, since a module can be evaluated only once in a process.
 */
import type { ServiceSettings, Settings } from '../config/settings.ts';
import type { LimitSpec } from '../memory/limit-table.ts';
import type { MetricSpec } from '../metrics/spec.ts';
import type { IdentityFiles, PemContents } from '../tls/pem-files.ts';
import type { Place } from './place.ts';

export interface Plan {
  readonly settings: Settings;
  /** Top-level keys of the file that are not Sluice's. */
  readonly user: Readonly<Record<string, unknown>>;
  readonly services: readonly BootService[];
  readonly listen: readonly ListenAddress[];
  /** Names of background services. */
  readonly tasks: readonly string[];
  /** So long a worker may wait for them before it accepts, in milliseconds. */
  readonly serviceWaitMs: number;
  readonly upstreams: readonly PlannedUpstream[];
  readonly limits: readonly LimitSpec[];
  /** The program's own metrics. */
  readonly metrics: readonly MetricSpec[];
  /** Certificates and keys, by the path that names them. */
  readonly pem: PemContents;
}

/** What a worker needs to know of a service beyond what its program says. */
export type BootService = Pick<
  ServiceSettings,
  | 'name'
  | 'limits'
  | 'timeouts'
  | 'retry'
  | 'trusted_proxies'
  | 'client_ip_field'
  | 'paths'
  | 'forwarded'
  | 'via'
>;

export interface ListenAddress {
  readonly service: string;
  readonly place: Place;
  readonly tls: IdentityFiles | undefined;
}

export interface PlannedUpstream {
  readonly name: string;
  /** Addresses of those that are written down. */
  readonly peers: readonly string[];
  /** What finds further ones: `Discovery.source`. */
  readonly discovery?: string;
}

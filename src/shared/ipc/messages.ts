/**
 * What supervisor and workers say to each other over node:cluster's channel.
 * The version is checked first: after a deployment the two ends may come from
 * different releases for a moment.
 */
import type { IdentityFiles } from '../tls/pem-files.ts';
import type { Place } from './place.ts';

export const IPC_VERSION = 4;

/** Work that must be done once per host; one ready worker has each. */
export type Duty = 'health-probes' | DiscoveryDuty | TaskDuty;

/** To run the task of a background service. */
export type TaskDuty = `task:${string}`;

export function taskDuty(service: string): TaskDuty {
  return `task:${service}`;
}

/** To find the peers of an upstream. */
export type DiscoveryDuty = `discovery:${string}`;

/**
 * @param source another one is another duty: workers of a new configuration need its
 *   peers before they serve, while those of the old one still have the duty for theirs
 */
export function discoveryDuty(upstream: string, source: string): DiscoveryDuty {
  return `discovery:${JSON.stringify([upstream, source])}`;
}

/** A listening socket of a service, for one worker. */
export interface ListenerGrant {
  /** Names the address; services and generations change, it stays. */
  readonly key: string;
  readonly service: string;
  readonly place: Place;
  /** Names of files; what is in them came with the boot message. */
  readonly tls: IdentityFiles | undefined;
  /** The supervisor's descriptor number; absent where sockets cannot be made by libc calls. */
  readonly fd: number | undefined;
}

/** One socket, by the slot it belongs to and its address. */
export interface SocketName {
  readonly slot: number;
  readonly key: string;
}

/** How a worker is to end. */
export interface DrainOrder {
  /** Idle connections are left open so long. */
  readonly idleMs: number;
  /** Then what is left is cut. */
  readonly graceMs: number;
  /**
   * Sockets on which nobody accepts afterwards: what waits there is accepted first.
   * On the others whoever comes next finds it.
   */
  readonly last: 'all' | readonly SocketName[];
  /** Accepts on those so long, for handshakes that are under way. */
  readonly lastMs: number;
}

export type ToWorker =
  /** Builds everything, and accepts nothing yet. */
  | {
      readonly kind: 'start';
      readonly version: number;
      readonly slot: number;
      /** Its row in the metrics table; no other live process writes there. */
      readonly metricsRow: number;
      /** Background services that are ready already. */
      readonly readyServices: readonly string[];
    }
  /** Accepts on the sockets of a slot: its own, or one whose worker is gone. */
  | { readonly kind: 'accept'; readonly slot: number; readonly listeners: readonly ListenerGrant[] }
  /** Accepts no more there: the slot has a worker of its own again. */
  | { readonly kind: 'leave'; readonly slot: number }
  /** A background service is ready, and stays it. */
  | { readonly kind: 'service-ready'; readonly service: string }
  | { readonly kind: 'duty'; readonly duty: Duty }
  | ({ readonly kind: 'drain' } & DrainOrder)
  /** Of a drain: its time is over. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'reopen-logs' };

export type ToSupervisor =
  /** Waits for `start`. */
  | { readonly kind: 'hello'; readonly version: number }
  /** Has built everything. Can have duties, and accepts connections once it is told to. */
  | { readonly kind: 'built' }
  /** The background service that it runs is ready. */
  | { readonly kind: 'service-ready'; readonly service: string }
  /**
   * Has this duty no longer. `done`: nobody needs to do it again; `stopped`: the worker drains, and
   * another may begin.
   */
  | { readonly kind: 'duty-ended'; readonly duty: Duty; readonly how: 'done' | 'stopped' }
  /** Accepts on the sockets of that slot, which really have these addresses. */
  | {
      readonly kind: 'accepting';
      readonly slot: number;
      readonly addresses: readonly BoundAddress[];
    }
  /** Cannot start; the process ends. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** The last connection has ended. */
  | { readonly kind: 'drained' };

export type BoundAddress = { readonly service: string; readonly tls?: true } & (
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
);

/**
 * What supervisor and workers say to each other over node:cluster's channel.
 * The version is checked first: after a deployment the two ends may come from
 * different releases for a moment.
 */
import type { IdentityFiles } from '../tls/pem-files.ts';
import type { Place } from './place.ts';

export const IPC_VERSION = 3;

/** Work that must be done once per host; one ready worker has each. */
export type Duty = 'health-probes' | TaskDuty;

/** To run the task of a background service. */
export type TaskDuty = `task:${string}`;

export function taskDuty(service: string): TaskDuty {
  return `task:${service}`;
}

/** A listening socket of a service, for one worker. */
export interface ListenerGrant {
  readonly service: string;
  readonly place: Place;
  /** Names of files; what is in them came with the boot message. */
  readonly tls: IdentityFiles | undefined;
  /** The supervisor's descriptor number; absent where sockets cannot be made by libc calls. */
  readonly fd: number | undefined;
}

export type ToWorker =
  | {
      readonly kind: 'start';
      readonly version: number;
      readonly slot: number;
      /** Its row in the metrics table; no other live process writes there. */
      readonly metricsRow: number;
      readonly listeners: readonly ListenerGrant[];
      /** Background services that are ready already. */
      readonly readyServices: readonly string[];
    }
  /** A background service is ready, and stays it. */
  | { readonly kind: 'service-ready'; readonly service: string }
  | { readonly kind: 'duty'; readonly duty: Duty }
  | {
      readonly kind: 'drain';
      /** Idle connections are left open so long. */
      readonly idleMs: number;
      /** Then what is left is cut. */
      readonly graceMs: number;
    }
  | { readonly kind: 'reopen-logs' };

export type ToSupervisor =
  /** Waits for `start`. */
  | { readonly kind: 'hello'; readonly version: number }
  /** Can have duties. It accepts connections once the services are ready that it waits for. */
  | { readonly kind: 'built' }
  /** The background service that it runs is ready. */
  | { readonly kind: 'service-ready'; readonly service: string }
  /**
   * Has this duty no longer. `done`: nobody needs to do it again; `stopped`: the worker drains, and
   * another may begin.
   */
  | { readonly kind: 'duty-ended'; readonly duty: Duty; readonly how: 'done' | 'stopped' }
  /** Accepts connections on all its listeners, which really have these addresses. */
  | { readonly kind: 'ready'; readonly addresses: readonly BoundAddress[] }
  /** Cannot start; the process ends. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** The last connection has ended. */
  | { readonly kind: 'drained' };

export type BoundAddress = { readonly service: string; readonly tls?: true } & (
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
);

/**
 * What operators can ask of a running supervisor. Signals, the control socket
 * and the admin page all act through `Operations` and nothing else, so that a
 * reload is the same reload whoever asks for it.
 */
import type { BoundAddress } from '../shared/ipc/messages.ts';
import type { Standing } from '../shared/memory/peer-table.ts';
import type { Slot } from './workers/fleet.ts';

/** Texts are for the caller's terminal and may have several lines: problems with place and caret. */
export type Outcome =
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: string };

export function done(text: string): Outcome {
  return { kind: 'done', text };
}

/** Nothing has changed; the reason says what to do. */
export function refused(reason: string): Outcome {
  return { kind: 'refused', reason };
}

/**
 *   starting → serving → draining → gone
 *
 * A stop leads from everywhere to `gone`.
 */
export type State = 'starting' | 'serving' | 'draining' | 'gone';

export interface LastReload {
  readonly successful: boolean;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Of one that was refused. */
  readonly reason?: string;
}

export interface Status extends Partial<SupervisorStatus> {
  readonly state: State;
  readonly version: string;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly lastReload?: LastReload;
}

/** Every call is answered, in every state. */
export interface Operations {
  status(): Status;
  /** Reads the configuration again; workers are replaced, sockets stay. */
  reload(): Promise<Outcome>;
  /** Starts the successor and hands everything over to it. */
  upgrade(): Promise<Outcome>;
  /** Hands everything over to a successor that somebody else has started and that waits. */
  handOff(): Promise<Outcome>;
  /** No new connections; ends when the last request is done, or the grace period. */
  drain(): Outcome;
  /** Ends at once. */
  stop(): Outcome;
  reopenLogs(): Outcome;
  /** None before the start is over. */
  peers(): readonly PeerStatus[];
  /** Gives a peer no new requests, or gives it some again. Holds through reloads and upgrades. */
  switchPeer(order: PeerSwitch): Outcome;
}

export interface PeerSwitch {
  readonly to: 'drained' | 'enabled';
  /** Address of the peer. */
  readonly peer: string;
  /** Needed where several upstreams have a peer at that address. */
  readonly upstream?: string | undefined;
}

export interface PeerStatus {
  readonly upstream: string;
  readonly peer: string;
  readonly health: Standing;
}

/** What only a started supervisor knows. */
export interface SupervisorStatus {
  readonly addresses: readonly BoundAddress[];
  /** Path of the control socket. */
  readonly control: string | undefined;
  readonly workers: readonly Slot[];
  /** Workers that died and were replaced. */
  readonly restarts: number;
  /** Memory that all processes share, and that a successor gets. */
  readonly segments: readonly SegmentStatus[];
}

export interface SegmentStatus {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Process id of the supervisor that made it, this one or a predecessor; undefined if that one's release did not say. */
  readonly madeBy: number | undefined;
}

export type DrainReason = 'stopping' | 'handed-off';

/**
 * A started supervisor, as `start.ts` builds it. `Lifecycle` calls it: `reload`,
 * `upgrade` and `handOff` one at a time and only while it serves.
 */
export interface Supervisor {
  status(): SupervisorStatus;
  /** @param abort we are to stop: give up, and leave nothing half done */
  reload(abort: AbortSignal): Promise<Outcome>;
  /** `done` once the successor serves: then `drain('handed-off')` follows. */
  upgrade(abort: AbortSignal): Promise<Outcome>;
  /** As `upgrade`. */
  handOff(abort: AbortSignal): Promise<Outcome>;
  reopenLogs(): void;
  peers(): readonly PeerStatus[];
  /** As of `Operations`. */
  switchPeer(order: PeerSwitch): Outcome;
  /** Resolves when nothing runs any more. */
  drain(reason: DrainReason): Promise<void>;
  /** As `drain`, at once; also in the middle of one. */
  stop(): Promise<void>;
}

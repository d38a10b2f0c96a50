/**
 * What the two supervisors say to each other. They may come from different
 * releases: `offer` and the answers to it keep their form for ever, everything
 * else has the form of the version that `accept` names. Fields and kinds of
 * items that are not known are passed over, so that a version can gain some.
 *
 *   predecessor             successor
 *     offer           →
 *                     ←       accept, or refuse
 *     batch 1 … n     →       each with its descriptors
 *                     ←       received 1 … n
 *                     ←       ready
 *     take-over       →
 *                     ←       owner
 *     bye             →
 *
 * Instead of any of its messages the predecessor can say `withdraw`, and the successor `refuse`.
 */
import type { Place } from '../../shared/ipc/place.ts';
import type { SegmentSpec } from '../../shared/memory/segment.ts';
import { BrokenFrame } from './frames.ts';

export const HANDOFF_VERSION = 1;
/** The oldest that this release still speaks. */
export const OLDEST_HANDOFF_VERSION = 1;

export interface Versions {
  readonly oldest: number;
  readonly newest: number;
}

export const SPOKEN: Versions = { oldest: OLDEST_HANDOFF_VERSION, newest: HANDOFF_VERSION };

/** Who offers, and how much. */
export interface Offer {
  readonly kind: 'offer';
  readonly versions: Versions;
  /** Of Sluice. */
  readonly release: string;
  readonly pid: number;
  /** Its configuration file. */
  readonly conf: string | undefined;
  /** The systemd service that it is the main process of. */
  readonly unit: string | undefined;
  /** In all batches together. */
  readonly descriptors: number;
}

/** A descriptor, and what it is. */
export type Item =
  | {
      readonly kind: 'socket';
      /** The address as the configuration writes it. */
      readonly key: string;
      /** Where it is bound. */
      readonly place: Place;
    }
  | ({ readonly kind: 'segment' } & SegmentSpec)
  /** Of a newer release. */
  | { readonly kind: 'unknown' };

export interface Batch {
  readonly kind: 'batch';
  /** From 1. */
  readonly number: number;
  readonly last: boolean;
  /** As many as descriptors come along, in their order; the sockets of an address in the order of their slots. */
  readonly items: readonly Item[];
}

export type ToSuccessor = Offer | Batch | { readonly kind: 'take-over' } | { readonly kind: 'bye' };

export interface Withdraw {
  readonly kind: 'withdraw';
  readonly reason: string;
}

export type ToPredecessor =
  | {
      readonly kind: 'accept';
      readonly version: number;
      readonly release: string;
      readonly pid: number;
    }
  | { readonly kind: 'received'; readonly number: number }
  | Ready
  | { readonly kind: 'owner' };

/** All workers accept. */
export interface Ready {
  readonly kind: 'ready';
  /** What it has a use for; nobody accepts on the rest once the predecessor has gone. */
  readonly kept: readonly KeptAddress[];
}

export interface KeptAddress {
  readonly key: string;
  /** How many of its sockets, from the first one on. */
  readonly sockets: number;
}

export interface Refuse {
  readonly kind: 'refuse';
  readonly reason: string;
}

/** @returns the newest version that both speak, or why there is none */
export function agree(theirs: Versions, ours: Versions = SPOKEN): number | { reason: string } {
  const version = Math.min(theirs.newest, ours.newest);
  if (version >= Math.max(theirs.oldest, ours.oldest)) return version;
  const show = ({ oldest, newest }: Versions) =>
    oldest === newest ? `version ${newest}` : `versions ${oldest} to ${newest}`;
  return {
    reason: `the running process speaks ${show(theirs)} of the hand-off and the successor ${show(ours)}: stop the one and start the other, or upgrade through a release that speaks both`,
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws {BrokenFrame} it is none of the messages that a predecessor sends */
export function readToSuccessor(message: Fields): ToSuccessor | Withdraw {
  switch (message['kind']) {
    case 'offer':
      return {
        kind: 'offer',
        versions: versions(message['versions']),
        release: text(message, 'release'),
        pid: whole(message, 'pid'),
        conf: optionalText(message, 'conf'),
        unit: optionalText(message, 'unit'),
        descriptors: whole(message, 'descriptors'),
      };
    case 'batch':
      return {
        kind: 'batch',
        number: whole(message, 'number'),
        last: message['last'] === true,
        items: list(message, 'items').map(item),
      };
    case 'take-over':
      return { kind: 'take-over' };
    case 'bye':
      return { kind: 'bye' };
    case 'withdraw':
      return { kind: 'withdraw', reason: text(message, 'reason') };
    default:
      throw unknownKind(message);
  }
}

/** @throws {BrokenFrame} it is none of the messages that a successor sends */
export function readToPredecessor(message: Fields): ToPredecessor | Refuse {
  switch (message['kind']) {
    case 'accept':
      return {
        kind: 'accept',
        version: whole(message, 'version'),
        release: text(message, 'release'),
        pid: whole(message, 'pid'),
      };
    case 'received':
      return { kind: 'received', number: whole(message, 'number') };
    case 'ready':
      return { kind: 'ready', kept: list(message, 'kept').map(keptAddress) };
    case 'owner':
      return { kind: 'owner' };
    case 'refuse':
      return { kind: 'refuse', reason: text(message, 'reason') };
    default:
      throw unknownKind(message);
  }
}

function item(value: unknown): Item {
  const fields = object(value, 'items');
  switch (fields['kind']) {
    case 'socket':
      return { kind: 'socket', key: text(fields, 'key'), place: place(fields['place']) };
    case 'segment':
      return {
        kind: 'segment',
        name: text(fields, 'name'),
        layout: whole(fields, 'layout'),
        size: whole(fields, 'size'),
        ...('contents' in fields && { contents: text(fields, 'contents') }),
      };
    default:
      return { kind: 'unknown' };
  }
}

function keptAddress(value: unknown): KeptAddress {
  const fields = object(value, 'kept');
  return { key: text(fields, 'key'), sockets: whole(fields, 'sockets') };
}

function place(value: unknown): Place {
  const fields = object(value, 'place');
  return 'path' in fields
    ? { path: text(fields, 'path'), mode: whole(fields, 'mode') }
    : { host: text(fields, 'host'), port: whole(fields, 'port') };
}

function versions(value: unknown): Versions {
  const fields = object(value, 'versions');
  return { oldest: whole(fields, 'oldest'), newest: whole(fields, 'newest') };
}

function object(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(name, 'an object', value);
}

function list(fields: Fields, name: string): unknown[] {
  const value = fields[name];
  if (Array.isArray(value)) return value;
  throw wrong(name, 'a list', value);
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw wrong(name, 'a text', value);
}

function optionalText(fields: Fields, name: string): string | undefined {
  return fields[name] === undefined ? undefined : text(fields, name);
}

function whole(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(name, 'a whole number', value);
}

function wrong(name: string, expected: string, value: unknown): BrokenFrame {
  return new BrokenFrame(
    `${name}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 100)}`,
  );
}

function unknownKind({ kind }: Fields): BrokenFrame {
  return new BrokenFrame(
    `expected a message of the hand-off, got the kind ${JSON.stringify(kind)?.slice(0, 100)}`,
  );
}

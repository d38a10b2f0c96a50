/**
 * Everything the command line can ask of a running supervisor, in the order in
 * which the help lists it. A verb is one row here: the command, the supervisor,
 * and the help take it from this table.
 */
import type { Operations } from '../operations.ts';
import type { Answer } from './protocol.ts';
import { showPeers, showStatus } from './show.ts';

export interface VerbOption {
  readonly type: 'boolean' | 'string';
  readonly means: string;
}

export interface Verb {
  readonly means: string;
  /** By name; on the command line with two dashes. */
  readonly options?: Readonly<Record<string, VerbOption>>;
  readonly run: (
    operations: Operations,
    options: Readonly<Record<string, unknown>>,
  ) => Answer | Promise<Answer>;
  /** The data of an answer, for people. */
  readonly show?: (data: unknown) => string;
  /** The connection stays open until the process has ended, and the command waits for that. */
  readonly untilEnd?: true;
}

/** Options come from a command of any release: their types are not believed. */
function runPeers(operations: Operations, options: Readonly<Record<string, unknown>>): Answer {
  const { drain, enable, upstream } = options;
  if (drain === undefined && enable === undefined)
    return { kind: 'done', data: operations.peers() };
  if (drain !== undefined && enable !== undefined)
    return { kind: 'refused', reason: 'expected --drain or --enable, got both' };
  const peer = drain ?? enable;
  if (typeof peer !== 'string' || !(upstream === undefined || typeof upstream === 'string'))
    return { kind: 'misunderstood', reason: 'expected the address and the upstream as text' };
  return operations.switchPeer({ to: drain === undefined ? 'enabled' : 'drained', peer, upstream });
}

export const verbs: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  [
    'status',
    {
      means: 'what it does, its workers, its memory',
      run: (operations) => ({ kind: 'done', data: operations.status() }),
      show: showStatus,
    },
  ],
  [
    'reload',
    {
      means: 'read the configuration again; a bad one changes nothing',
      run: (operations) => operations.reload(),
    },
  ],
  [
    'upgrade',
    {
      means: 'start the installed version and hand over to it; wait until it serves',
      run: (operations) => operations.upgrade(),
    },
  ],
  [
    'drain',
    {
      means: 'finish running requests, then end; returns at once',
      run: (operations) => operations.drain(),
    },
  ],
  [
    'stop',
    {
      means: 'finish running requests, then end; returns when it has ended',
      options: { now: { type: 'boolean', means: 'cut them and end at once' } },
      run: (operations, { now }) => (now === true ? operations.stop() : operations.drain()),
      untilEnd: true,
    },
  ],
  [
    'peers',
    {
      means: 'the peers of all upstreams, and their health',
      options: {
        drain: { type: 'string', means: 'give the peer at this address no new requests' },
        enable: { type: 'string', means: 'give it requests again' },
        upstream: { type: 'string', means: 'which one is meant, if several have the peer' },
      },
      run: runPeers,
      show: showPeers,
    },
  ],
]);

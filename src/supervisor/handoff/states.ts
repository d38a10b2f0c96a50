/**
 * The hand-off as each of the two supervisors sees it. This file only decides;
 * `predecessor.ts` and `successor.ts` do what an action names, and what comes of
 * it is the next event. `docs/internals/upgrade.md` prints these tables.
 */

export interface Step<State, Action> {
  readonly to: State;
  readonly action: Action;
}

/** A pair that is missing cannot happen; the driver throws. */
export type Table<State extends string, Event extends string, Action extends string> = Readonly<
  Record<State, Partial<Record<Event, Step<State, Action>>>>
>;

/** What can go wrong, and what each means. */
export const failures = {
  failed: 'something on this side: a port is taken, a worker cannot start, the offer will not do',
  lost: 'the other side has closed the connection without a word: it died',
  ended: 'the other side said that it gives up, and why',
  late: 'the other side did not answer in time',
  broken: 'the other side does not keep to the protocol',
  stopped: 'this side is told to stop',
} as const;

export type Failure = keyof typeof failures;

// ---- the one that serves

export const predecessorStates = {
  serving: 'nothing is handed over',
  connecting: 'looking for the socket of the successor',
  introducing: 'the offer is made',
  sending: 'sockets and segments are on their way',
  waiting: 'the successor starts its workers',
  entrusting: 'the successor is ready and takes the pid file',
  draining: 'the successor serves; this one accepts no more',
} as const;

export type PredecessorState = keyof typeof predecessorStates;

export type PredecessorEvent =
  | 'asked'
  | 'connected'
  | 'accepted'
  | 'batch-received'
  | 'all-received'
  | 'ready'
  | 'owner'
  | Failure;

export type PredecessorAction =
  | 'connect'
  | 'offer'
  | 'send-batch'
  | 'await-ready'
  | 'entrust'
  | 'say-bye'
  | 'withdraw';

const withdraw: Step<PredecessorState, PredecessorAction> = { to: 'serving', action: 'withdraw' };

/** This side never stopped accepting, so going back is no step at all. */
const backToServing = {
  failed: withdraw,
  lost: withdraw,
  ended: withdraw,
  late: withdraw,
  broken: withdraw,
  stopped: withdraw,
} as const;

export const predecessorTable: Table<PredecessorState, PredecessorEvent, PredecessorAction> = {
  serving: {
    asked: { to: 'connecting', action: 'connect' },
  },
  connecting: {
    connected: { to: 'introducing', action: 'offer' },
    ...backToServing,
  },
  introducing: {
    accepted: { to: 'sending', action: 'send-batch' },
    ...backToServing,
  },
  sending: {
    'batch-received': { to: 'sending', action: 'send-batch' },
    'all-received': { to: 'waiting', action: 'await-ready' },
    ...backToServing,
  },
  waiting: {
    ready: { to: 'entrusting', action: 'entrust' },
    ...backToServing,
  },
  entrusting: {
    owner: { to: 'draining', action: 'say-bye' },
    ...backToServing,
  },
  draining: {},
};

// ---- the one that comes

export const successorStates = {
  waiting: 'for the predecessor to connect and to offer',
  receiving: 'sockets and segments',
  starting: 'workers, on what was received and what is new',
  ready: 'all workers accept; so do those of the predecessor',
  'taking-over': 'the pid file names this one',
  owner: 'the only one',
  'gave-up': 'the predecessor serves on',
} as const;

export type SuccessorState = keyof typeof successorStates;

export type SuccessorEvent =
  | 'offered'
  | 'batch-received'
  | 'all-received'
  | 'started'
  | 'take-over'
  | 'bye'
  | Failure;

export type SuccessorAction =
  | 'receive-batch'
  | 'start'
  | 'announce'
  | 'take-over'
  | 'take-over-alone'
  | 'serve'
  | 'refuse';

const refuse: Step<SuccessorState, SuccessorAction> = { to: 'gave-up', action: 'refuse' };

const giveUp = {
  failed: refuse,
  ended: refuse,
  late: refuse,
  broken: refuse,
  stopped: refuse,
} as const;

export const successorTable: Table<SuccessorState, SuccessorEvent, SuccessorAction> = {
  waiting: {
    offered: { to: 'receiving', action: 'receive-batch' },
    lost: refuse,
    ...giveUp,
  },
  receiving: {
    'batch-received': { to: 'receiving', action: 'receive-batch' },
    'all-received': { to: 'starting', action: 'start' },
    // Not all that was served on is known, so this one could not serve it all.
    lost: refuse,
    ...giveUp,
  },
  starting: {
    started: { to: 'ready', action: 'announce' },
    ...giveUp,
  },
  ready: {
    'take-over': { to: 'taking-over', action: 'take-over' },
    // The predecessor died with everything handed over: somebody must serve on.
    lost: { to: 'taking-over', action: 'take-over-alone' },
    ...giveUp,
  },
  'taking-over': {
    bye: { to: 'owner', action: 'serve' },
    lost: { to: 'owner', action: 'serve' },
    ...giveUp,
  },
  owner: {},
  'gave-up': {},
};

/**
 * Follows a table until an action is the last one for now.
 *
 * @param perform does what an action names, and returns what came of it; undefined if
 *   nothing follows by itself
 * @returns where it has come to
 */
export async function follow<State extends string, Event extends string, Action extends string>(
  table: Table<State, Event, Action>,
  from: State,
  first: Event,
  perform: (action: Action, state: State) => Promise<Event | undefined>,
): Promise<State> {
  let state = from;
  for (let event: Event | undefined = first; event !== undefined;) {
    const step: Step<State, Action> | undefined = table[state][event];
    if (step === undefined) throw new Error(`"${event}" cannot happen while ${state}`);
    state = step.to;
    event = await perform(step.action, state);
  }
  return state;
}

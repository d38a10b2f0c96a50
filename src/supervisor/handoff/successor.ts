/**
 * The hand-off on the side of the supervisor that comes: it waits for an offer,
 * takes what it is given, and claims to be the only one once its workers accept.
 */
import type { Log } from '../../shared/log/log.ts';
import type { Inheritance } from '../inheritance.ts';
import type { Channel, Patience } from './channel.ts';
import { Conversation } from './conversation.ts';
import { ReceivedEstate } from './estate.ts';
import { asFailure, HandoffFailure } from './failure.ts';
import {
  agree,
  readToSuccessor,
  type KeptAddress,
  type Offer,
  type ToSuccessor,
} from './messages.ts';
import { REPLY_MS } from './predecessor.ts';
import {
  follow,
  successorTable,
  type SuccessorAction,
  type SuccessorEvent,
  type SuccessorState,
} from './states.ts';

/** Where a predecessor comes to. */
export interface MeetingPoint {
  /** The next connection of somebody who may offer; throws HandoffFailure when it is too late. */
  connection(patience: Patience): Promise<Channel>;
  /** Once the hand-off is over; until then nobody else can wait there. */
  close(): void;
}

export interface SuccessorParts {
  readonly meetingPoint: MeetingPoint;
  readonly close: (fd: number) => void;
  /** How long to wait for an offer, in milliseconds. */
  readonly waitMs: number;
  readonly release: string;
  /** @returns why such an offer cannot be accepted */
  readonly judge: (offer: Offer) => string | undefined;
  readonly abort: AbortSignal;
  readonly log: Log;
}

export interface Claim {
  readonly kept: readonly KeptAddress[];
  /** The predecessor serves still, and drains once this has returned. */
  takeOver(): void;
}

/** One hand-off, seen from the side that comes. Once it has failed, nothing of it is left open. */
export class Succession {
  readonly #parts: SuccessorParts;
  readonly #estate: ReceivedEstate;
  readonly #withdrawn = new AbortController();
  #state: SuccessorState = 'waiting';
  #conversation: Conversation<ToSuccessor> | undefined;
  #predecessor = { pid: 0, release: '' };
  /** What the predecessor says after everything is received. */
  #next: Promise<SuccessorEvent> | undefined;
  #claim: Claim | undefined;
  #failure: HandoffFailure | undefined;

  constructor(parts: SuccessorParts) {
    this.#parts = parts;
    this.#estate = new ReceivedEstate(parts.close);
  }

  /** Its process id; 0 before it has made an offer. */
  get predecessor(): number {
    return this.#predecessor.pid;
  }

  /** This side is told to stop. */
  get isStopped(): boolean {
    return this.#parts.abort.aborted;
  }

  /** Aborted when the predecessor has changed its mind, or this side is told to stop. */
  get withdrawn(): AbortSignal {
    return this.#withdrawn.signal;
  }

  /**
   * Waits for an offer and takes it.
   *
   * @returns what was handed over; its descriptors are the caller's
   * @throws {HandoffFailure} the predecessor serves on
   */
  async receive(): Promise<Inheritance> {
    await this.#follow(await this.#attempt(() => this.#accept()));
    this.#watch();
    return this.#estate.take();
  }

  /**
   * All workers accept: to be the only one now.
   *
   * @throws {HandoffFailure} the predecessor serves on
   */
  async claim(claim: Claim): Promise<void> {
    this.#claim = claim;
    await this.#follow('started');
    this.#parts.log.info({ predecessor: this.#predecessor.pid }, 'took over');
  }

  /** This side cannot start: the predecessor hears why, and serves on. */
  async giveUp(reason: string): Promise<void> {
    if (this.#state === 'gave-up' || this.#state === 'owner') return;
    this.#failure = new HandoffFailure('failed', reason);
    this.#state = await follow(successorTable, this.#state, 'failed', (action) =>
      this.#perform(action),
    );
  }

  async #follow(first: SuccessorEvent): Promise<void> {
    const { log } = this.#parts;
    this.#state = await follow(successorTable, this.#state, first, (action, state) => {
      log.debug({ state }, 'hand-off');
      this.#state = state;
      return this.#attempt(() => this.#perform(action));
    });
    if (this.#state === 'gave-up') throw this.#failure!;
  }

  async #attempt<Result>(step: () => Promise<Result>): Promise<Result | SuccessorEvent> {
    try {
      return await step();
    } catch (thrown) {
      this.#failure = asFailure(thrown, 'the predecessor');
      return this.#failure.event;
    }
  }

  async #perform(action: SuccessorAction): Promise<SuccessorEvent | undefined> {
    switch (action) {
      case 'receive-batch':
        return this.#receiveBatch();
      case 'start':
        return undefined;
      case 'announce':
        return this.#announce();
      case 'take-over':
        return this.#takeOverAndSay();
      case 'take-over-alone':
        return this.#takeOverAlone();
      case 'serve':
        return this.#serve();
      case 'refuse':
        return this.#refuse();
    }
  }

  /** Those who offer nothing are not waited for. */
  async #accept(): Promise<SuccessorEvent> {
    const { waitMs, abort, meetingPoint, log } = this.#parts;
    const giveUpAt = performance.now() + waitMs;
    for (;;) {
      const channel = await meetingPoint.connection({
        withinMs: giveUpAt - performance.now(),
        abort,
      });
      const conversation = new Conversation<ToSuccessor>(channel, readToSuccessor);
      try {
        const offer = await conversation.hear('offer', { withinMs: REPLY_MS, abort });
        this.#conversation = conversation;
        return await this.#answer(offer);
      } catch (thrown) {
        const failure = asFailure(thrown);
        if (this.#conversation !== undefined || failure.event === 'stopped') throw failure;
        // Somebody who only looks whether we are there hangs up without a word.
        const reason = failure.message;
        if (failure.event !== 'lost') log.warn({ reason }, 'not an offer; waiting on');
        conversation.end({ kind: 'refuse', reason });
      }
    }
  }

  async #answer(offer: Offer): Promise<SuccessorEvent> {
    const { judge, release, log } = this.#parts;
    const version = agree(offer.versions);
    const objection = typeof version === 'object' ? version.reason : judge(offer);
    if (objection !== undefined) throw new HandoffFailure('failed', objection);
    const { pid, conf } = offer;
    this.#predecessor = { pid, release: offer.release };
    log.info({ predecessor: pid, release: offer.release, conf }, 'taking over');
    await this.#say({ kind: 'accept', version, release, pid: process.pid });
    return 'offered';
  }

  async #receiveBatch(): Promise<SuccessorEvent> {
    const { message, descriptors } = await this.#conversation!.hearWithDescriptors(
      'batch',
      this.#patience(),
    );
    this.#estate.add(message, descriptors);
    await this.#say({ kind: 'received', number: message.number });
    return message.last ? 'all-received' : 'batch-received';
  }

  /** Nothing is due until `ready` is said, but the predecessor may die or change its mind. */
  #watch(): void {
    const patience = { withinMs: Number.POSITIVE_INFINITY, abort: this.#parts.abort };
    this.#next = this.#conversation!.hear('take-over', patience).then(
      () => 'take-over' as const,
      (thrown: unknown) => {
        this.#failure = asFailure(thrown);
        if (this.#failure.event === 'lost')
          this.#parts.log.warn(
            { predecessor: this.#predecessor.pid },
            'the predecessor has died; going on without it',
          );
        else this.#withdrawn.abort(this.#failure);
        return this.#failure.event;
      },
    );
  }

  async #announce(): Promise<SuccessorEvent> {
    await this.#say({ kind: 'ready', kept: this.#claim!.kept });
    return within(
      REPLY_MS,
      this.#next!,
      'the predecessor did not answer that this process is ready',
    );
  }

  async #takeOverAndSay(): Promise<SuccessorEvent> {
    this.#claim!.takeOver();
    await this.#say({ kind: 'owner' });
    // However long it takes: both serve, and only the predecessor knows whether it has heard.
    await this.#conversation!.hear('bye', this.#patience(Number.POSITIVE_INFINITY));
    return 'bye';
  }

  async #takeOverAlone(): Promise<SuccessorEvent> {
    try {
      this.#claim!.takeOver();
    } catch (thrown) {
      // Nobody else serves any more: a pid file that cannot be had is no reason to end, too.
      const { message: reason } = asFailure(thrown);
      this.#parts.log.error({ reason }, 'serving on without what could not be taken over');
    }
    return 'bye';
  }

  async #serve(): Promise<undefined> {
    this.#conversation!.end();
    this.#parts.meetingPoint.close();
  }

  async #refuse(): Promise<undefined> {
    const { event, message: reason } = this.#failure!;
    const text =
      event === 'lost'
        ? 'did not take over; the running process has died'
        : 'did not take over; the running process serves on';
    this.#parts.log.error({ reason }, text);
    // Who gave up first need not be told why.
    this.#conversation?.end(event === 'ended' ? undefined : { kind: 'refuse', reason });
    this.#parts.meetingPoint.close();
    this.#estate.closeAll();
    this.#withdrawn.abort(this.#failure);
  }

  #say(message: object): Promise<void> {
    return this.#conversation!.say(message, this.#patience());
  }

  #patience(withinMs = REPLY_MS): Patience {
    return { withinMs, abort: this.#parts.abort };
  }
}

async function within<T>(ms: number, promise: Promise<T>, reason: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new HandoffFailure('late', reason)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The hand-off on the side of the supervisor that serves: it gives everything to
 * its successor, and goes on serving until the successor says that it serves.
 */
import type { Log } from '../../shared/log/log.ts';
import type { Inheritance } from '../inheritance.ts';
import { done, refused, type Outcome } from '../operations.ts';
import type { Channel, Patience } from './channel.ts';
import { Conversation } from './conversation.ts';
import { loadsOf, type Load } from './estate.ts';
import { asFailure, HandoffFailure } from './failure.ts';
import {
  readToPredecessor,
  SPOKEN,
  type KeptAddress,
  type Offer,
  type ToPredecessor,
} from './messages.ts';
import {
  follow,
  predecessorTable,
  type PredecessorAction,
  type PredecessorEvent,
} from './states.ts';

export interface PredecessorParts {
  /** @throws {HandoffFailure} there is no successor */
  readonly connect: (abort: AbortSignal) => Promise<Channel>;
  readonly introduction: Pick<Offer, 'release' | 'pid' | 'conf' | 'unit'>;
  /** The descriptors stay ours. */
  readonly estate: () => Inheritance;
  /** How long the successor may take to answer the offer, in milliseconds. */
  readonly acceptMs: number;
  /** How long it may take to have all its workers ready, in milliseconds. */
  readonly readyMs: number;
  /**
   * The successor has taken over, and this is what it goes on with. This process is the main one still,
   * and the last moment in which a service manager believes it; before, the successor could have failed.
   */
  readonly onOwner: (successor: number, kept: readonly KeptAddress[]) => void;
  /** The successor failed after it was told to take over: what it has taken is to be had back. */
  readonly onKept: (successor: number) => void;
  /** Adds what only the caller knows about a failure. */
  readonly explain?: (failure: HandoffFailure) => Promise<HandoffFailure>;
  readonly abort: AbortSignal;
  readonly log: Log;
}

/** For everything that the other side can answer at once. */
export const REPLY_MS = 10_000;

/** @returns `done` once the successor serves and this side has to accept no more */
export async function handOver(parts: PredecessorParts): Promise<Outcome> {
  const handover = new Handover(parts);
  return handover.run();
}

class Handover {
  readonly #parts: PredecessorParts;
  #conversation: Conversation<ToPredecessor> | undefined;
  #loads: Load[] = [];
  #successor = { pid: 0, release: '' };
  #kept: readonly KeptAddress[] = [];
  #entrusted = false;
  #failure: HandoffFailure | undefined;

  constructor(parts: PredecessorParts) {
    this.#parts = parts;
  }

  async run(): Promise<Outcome> {
    const { log } = this.#parts;
    let at = 'serving';
    await follow(predecessorTable, 'serving', 'asked', async (action, state) => {
      if (action === 'withdraw')
        log.error({ state: at, reason: this.#failure?.message }, 'hand-off failed; serving on');
      at = state;
      log.debug({ state }, 'hand-off');
      return this.#attempt(action);
    });
    if (this.#failure !== undefined) return refused(this.#failure.message);
    const { pid, release } = this.#successor;
    log.info({ successor: pid, release }, 'handed over; draining');
    return done(`process ${pid} (Sluice ${release}) serves now; process ${process.pid} drains`);
  }

  async #attempt(action: PredecessorAction): Promise<PredecessorEvent | undefined> {
    try {
      return await this.#perform(action);
    } catch (thrown) {
      const failure = asFailure(thrown);
      this.#failure = (await this.#parts.explain?.(failure)) ?? failure;
      return failure.event;
    }
  }

  #perform(action: PredecessorAction): Promise<PredecessorEvent | undefined> {
    switch (action) {
      case 'connect':
        return this.#connect();
      case 'offer':
        return this.#offer();
      case 'send-batch':
        return this.#sendBatch();
      case 'await-ready':
        return this.#awaitReady();
      case 'entrust':
        return this.#entrust();
      case 'say-bye':
        return this.#sayBye();
      case 'withdraw':
        return this.#withdraw();
    }
  }

  async #connect(): Promise<PredecessorEvent> {
    const channel = await this.#parts.connect(this.#parts.abort);
    this.#conversation = new Conversation<ToPredecessor>(channel, readToPredecessor);
    return 'connected';
  }

  async #offer(): Promise<PredecessorEvent> {
    const { introduction, estate, acceptMs } = this.#parts;
    this.#loads = loadsOf(estate());
    const descriptors = this.#loads.reduce((sum, load) => sum + load.descriptors.length, 0);
    await this.#say({ kind: 'offer', versions: SPOKEN, ...introduction, descriptors });
    const { pid, release } = await this.#hear('accept', acceptMs);
    this.#successor = { pid, release };
    this.#parts.log.info({ successor: pid, release, descriptors }, 'handing over');
    return 'accepted';
  }

  async #sendBatch(): Promise<PredecessorEvent> {
    const { batch, descriptors } = this.#loads.shift()!;
    await this.#say(batch, descriptors);
    const { number } = await this.#hear('received', REPLY_MS);
    if (number !== batch.number)
      throw new HandoffFailure(
        'broken',
        `the successor received batch ${number}, expected ${batch.number}`,
      );
    return batch.last ? 'all-received' : 'batch-received';
  }

  async #awaitReady(): Promise<PredecessorEvent> {
    const { kept } = await this.#hear('ready', this.#parts.readyMs);
    this.#kept = kept;
    return 'ready';
  }

  async #entrust(): Promise<PredecessorEvent> {
    this.#entrusted = true;
    await this.#say({ kind: 'take-over' });
    await this.#hear('owner', REPLY_MS);
    return 'owner';
  }

  async #sayBye(): Promise<undefined> {
    this.#parts.onOwner(this.#successor.pid, this.#kept);
    this.#conversation!.end({ kind: 'bye' });
  }

  async #withdraw(): Promise<undefined> {
    this.#conversation?.end({ kind: 'withdraw', reason: this.#failure?.message ?? '' });
    if (!this.#entrusted) return;
    try {
      this.#parts.onKept(this.#successor.pid);
    } catch (thrown) {
      // Whoever asked is to hear why the hand-off failed, and not of this.
      const { message: reason } = asFailure(thrown);
      this.#parts.log.error({ reason }, 'serving on without what the successor had taken');
    }
  }

  #say(message: object, descriptors: readonly number[] = []): Promise<void> {
    return this.#conversation!.say(message, this.#patience(REPLY_MS), descriptors);
  }

  #hear<Kind extends ToPredecessor['kind']>(kind: Kind, withinMs: number) {
    return this.#conversation!.hear(kind, this.#patience(withinMs));
  }

  #patience(withinMs: number): Patience {
    return { withinMs, abort: this.#parts.abort };
  }
}

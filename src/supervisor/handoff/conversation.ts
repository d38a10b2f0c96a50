/** What one side says and hears: messages of the protocol, in its order. */
import type { Channel, Patience } from './channel.ts';
import { asFailure, HandoffFailure } from './failure.ts';
import { BrokenFrame, type Frame } from './frames.ts';

/** The other side gives up. */
type LastWord = { readonly kind: 'refuse' | 'withdraw'; readonly reason: string };

export type Heard<Message, Kind> = Extract<Message, { kind: Kind }>;

export class Conversation<Message extends { readonly kind: string }> {
  readonly #channel: Channel;
  readonly #read: (message: Frame['message']) => Message | LastWord;

  /** @param read throws BrokenFrame if it is no message of the other side */
  constructor(channel: Channel, read: (message: Frame['message']) => Message | LastWord) {
    this.#channel = channel;
    this.#read = read;
  }

  say(message: object, patience: Patience, descriptors: readonly number[] = []): Promise<void> {
    return this.#channel.send(message, descriptors, patience);
  }

  /** @throws {HandoffFailure} that message does not come */
  async hear<Kind extends Message['kind']>(
    kind: Kind,
    patience: Patience,
  ): Promise<Heard<Message, Kind>> {
    const { message } = await this.hearWithDescriptors(kind, patience, 'none');
    return message;
  }

  /** @returns the message; its descriptors are the caller's */
  async hearWithDescriptors<Kind extends Message['kind']>(
    kind: Kind,
    patience: Patience,
    allowed: 'any' | 'none' = 'any',
  ): Promise<{ message: Heard<Message, Kind>; descriptors: readonly number[] }> {
    const { message, descriptors } = await this.#channel.receive(patience);
    try {
      if (allowed === 'none' && descriptors.length > 0)
        throw new BrokenFrame(`expected no descriptors, got ${descriptors.length}`);
      return { message: this.#expect(kind, this.#read(message)), descriptors };
    } catch (thrown) {
      this.#channel.closeDescriptors(descriptors);
      throw asFailure(thrown, this.#channel.other);
    }
  }

  /** Says why, if anybody still listens, and hangs up. */
  end(lastWord?: object): void {
    if (lastWord !== undefined) this.#channel.sendLast(lastWord);
    this.#channel.close();
  }

  #expect<Kind extends Message['kind']>(
    kind: Kind,
    heard: Message | LastWord,
  ): Heard<Message, Kind> {
    if ('reason' in heard)
      throw new HandoffFailure('ended', `${this.#channel.other}: ${heard.reason}`);
    if (heard.kind !== kind) throw new BrokenFrame(`expected "${kind}", got "${heard.kind}"`);
    return heard as Heard<Message, Kind>;
  }
}

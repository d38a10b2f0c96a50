/** Reads a body, whatever frames it. One per connection, used for message after message. */
import type { Headers } from '../../http/headers.ts';
import type { BodyFraming } from '../../http/message.ts';
import { Malformed } from '../malformed.ts';
import { ChunkedDecoder, type DataReceiver } from './chunked-decoder.ts';

export class BodyDecoder {
  readonly #receiver: DataReceiver;
  #framing: BodyFraming;
  #received = 0;
  #ended = false;
  #chunked: ChunkedDecoder | undefined;

  constructor(framing: BodyFraming, receiver: DataReceiver) {
    this.#framing = framing;
    this.#receiver = receiver;
    this.reset(framing);
  }

  reset(framing: BodyFraming): void {
    this.#framing = framing;
    this.#received = 0;
    this.#ended = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
    if (framing.kind !== 'chunked') return;
    this.#chunked ??= new ChunkedDecoder(this.#receiver);
    this.#chunked.reset();
  }

  get done(): boolean {
    return this.#ended;
  }

  get trailers(): Headers | undefined {
    return this.#framing.kind === 'chunked' ? this.#chunked?.trailers : undefined;
  }

  /**
   * @returns the index after what belonged to the body; less than `end` only once `done`
   * @throws {Malformed} the connection cannot be used any further
   */
  decode(bytes: Buffer, from: number, end: number): number {
    if (this.#ended) return from;
    switch (this.#framing.kind) {
      case 'none':
        return from;
      case 'length': {
        const until = Math.min(end, from + this.#framing.length - this.#received);
        this.#received += until - from;
        this.#ended = this.#received === this.#framing.length;
        this.#receiver.onData(bytes, from, until);
        return until;
      }
      case 'chunked': {
        const until = this.#chunked!.decode(bytes, from, end);
        this.#ended = this.#chunked!.done;
        return until;
      }
      case 'until-close':
        this.#received += end - from;
        this.#receiver.onData(bytes, from, end);
        return end;
    }
  }

  /**
   * The connection has ended. That completes a body without other framing.
   *
   * @throws {Malformed} any other body that is not complete
   */
  endOfInput(): void {
    if (this.#ended) return;
    switch (this.#framing.kind) {
      case 'until-close':
        this.#ended = true;
        return;
      case 'length':
        throw new Malformed(
          `message ended after ${this.#received} of ${this.#framing.length} body bytes`,
        );
      case 'none':
      case 'chunked':
        throw new Malformed('message ended before its last chunk');
    }
  }
}

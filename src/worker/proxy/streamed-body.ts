/**
 * The body of an answer that a phase makes piece by piece. The next piece is
 * asked for when the client has taken the one before.
 */
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import type { BodyPieces } from './answer.ts';
import { asProxyError } from './session.ts';

/** A program whose pieces are always ready must not keep the worker from everybody else. */
const PIECES_PER_TURN = 32;

export class StreamedBody implements IncomingBody {
  readonly length: number | undefined;
  readonly #iterator: AsyncIterator<string | Uint8Array>;
  #receiver: BodyReceiver | undefined;
  #paused = false;
  #asked = false;
  #inARow = 0;
  #over = false;

  /** @param length what the head promises; `undefined`: nothing */
  constructor(pieces: BodyPieces, length: number | undefined) {
    this.#iterator = pieces[Symbol.asyncIterator]();
    this.length = length;
  }

  start(receiver: BodyReceiver): void {
    this.#receiver = receiver;
    // What goes before the first piece should not have to wait for it.
    receiver.onIdle();
    this.#ask();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#ask();
  }

  discard(): void {
    if (this.#over) return;
    this.#over = true;
    // The program may clean up, or fail to: the answer has ended either way.
    Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }

  #ask(): void {
    if (this.#paused || this.#asked || this.#over) return;
    this.#asked = true;
    this.#inARow += 1;
    if (this.#inARow <= PIECES_PER_TURN) return this.#next();
    this.#inARow = 0;
    setImmediate(() => this.#next());
  }

  #next(): void {
    if (this.#over) return;
    this.#iterator.next().then(
      (result) => this.#arrived(result),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  #arrived({ done, value }: IteratorResult<string | Uint8Array>): void {
    this.#asked = false;
    if (this.#over) return;
    try {
      if (done === true) {
        this.#over = true;
        return this.#receiver!.onEnd(undefined);
      }
      const bytes = Buffer.from(value as string);
      this.#receiver!.onData(bytes, 0, bytes.length);
      this.#receiver!.onIdle();
    } catch (thrown) {
      return this.#fail(thrown);
    }
    this.#ask();
  }

  #fail(thrown: unknown): void {
    if (this.#over) return;
    this.discard();
    this.#receiver!.onError(asProxyError(thrown));
  }
}

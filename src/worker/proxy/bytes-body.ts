/** A body that is in memory already. */
import type { BodyReceiver, IncomingBody } from '../http/body.ts';

export class BytesBody implements IncomingBody {
  readonly length: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.length = bytes.length;
  }

  start(receiver: BodyReceiver): void {
    receiver.onData(this.#bytes, 0, this.length);
    receiver.onIdle();
    receiver.onEnd(undefined);
  }

  /** All of it is delivered before `start` returns. */
  pause(): void {}

  resume(): void {}

  discard(): void {}
}

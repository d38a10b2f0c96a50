/**
 * A body between one who writes it and one who asks for it piece by piece: the
 * answer to a subrequest, on its way to the phase or the client that waits for it.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { OutgoingBody } from '../http/body.ts';
import type { BodyPieces } from './answer.ts';

/** What may wait to be asked for, before the writer has to. */
const MAX_WAITING = 64 * 1024;

export class PipedBody implements OutgoingBody, BodyPieces, AsyncIterator<Uint8Array, undefined> {
  onDrain: (() => void) | undefined;
  readonly #onUnwanted: () => void;
  readonly #cut: () => ProxyError;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #state: 'open' | 'complete' | 'unwanted' | ProxyError = 'open';
  #wake: (() => void) | undefined;

  /**
   * @param onUnwanted nobody will ask for the rest
   * @param cut what whoever asks gets to know if it is aborted
   */
  constructor(onUnwanted: () => void, cut: () => ProxyError) {
    this.#onUnwanted = onUnwanted;
    this.#cut = cut;
  }

  // ── written ───────────────────────────────────────────────────────────────

  write(bytes: Buffer, from: number, end: number): boolean {
    if (this.#state !== 'open') return true;
    this.#waiting.push(Buffer.copyBytesFrom(bytes, from, end - from));
    this.#waitingBytes += end - from;
    this.#wake?.();
    return this.#waitingBytes < MAX_WAITING;
  }

  flush(): void {}

  end(): void {
    this.#close('complete');
  }

  abort(): void {
    this.#close(this.#cut());
  }

  #close(state: 'complete' | 'unwanted' | ProxyError): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.onDrain = undefined;
    this.#wake?.();
  }

  // ── asked for ─────────────────────────────────────────────────────────────

  /** Once: what was taken is gone. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.#waitingBytes === 0 && this.#state === 'open') {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    if (this.#waitingBytes > 0) return { done: false, value: this.#take() };
    if (typeof this.#state === 'string') return { done: true, value: undefined };
    throw this.#state;
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    const isEarly = this.#state === 'open';
    this.#close('unwanted');
    this.#take();
    if (isEarly) this.#onUnwanted();
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(): Buffer {
    const bytes = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    const { onDrain } = this;
    // Later: whoever asks gets his piece before the writer goes on.
    if (onDrain !== undefined) setImmediate(() => this.onDrain?.());
    return bytes;
  }
}

/** Reads a whole request body for a phase, as long as it is not too long. */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';

/**
 * @throws {ProxyError} `downstream/body-too-large`, or why the body did not arrive
 */
export function readWhole(body: IncomingBody, limit: number): Promise<Buffer> {
  if (body.length !== undefined && body.length > limit) {
    return Promise.reject(tooLarge(body.length, limit));
  }
  return new Promise((resolve, reject) => {
    body.start(new Collector(body, limit, resolve, reject));
  });
}

class Collector implements BodyReceiver {
  readonly #body: IncomingBody;
  readonly #limit: number;
  readonly #resolve: (whole: Buffer) => void;
  readonly #reject: (error: ProxyError) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(
    body: IncomingBody,
    limit: number,
    resolve: (whole: Buffer) => void,
    reject: (error: ProxyError) => void,
  ) {
    this.#body = body;
    this.#limit = limit;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onData(bytes: Buffer, from: number, end: number): void {
    const isTooLarge = this.#bytes > this.#limit;
    this.#bytes += end - from;
    if (this.#bytes <= this.#limit) {
      this.#pieces.push(Buffer.from(bytes.subarray(from, end)));
    } else if (!isTooLarge) {
      this.#pieces = [];
      this.#reject(tooLarge('more', this.#limit));
      this.#body.discard();
    }
  }

  onIdle(): void {}

  onEnd(): void {
    this.#resolve(Buffer.concat(this.#pieces));
  }

  onError(error: ProxyError): void {
    this.#reject(error);
  }
}

function tooLarge(length: number | 'more', limit: number): ProxyError {
  return new ProxyError(
    'downstream/body-too-large',
    `expected a request body of at most ${limit} bytes, as a phase asked for, got ${length}`,
  );
}

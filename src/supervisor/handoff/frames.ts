/**
 * How messages of the hand-off stand in a stream of bytes:
 *
 *   offset  type   what
 *        0  bytes  "SLHO"
 *        4  u32be  bytes of the message, at most 1 MiB
 *        8  u32be  descriptors that come with it, at most 200
 *       12  bytes  the message: an object of JSON in UTF-8
 *
 * The descriptors are attached to bytes of their frame. A frame that has some waits
 * for its answer, so never more of them are on their way than one frame may have.
 */

export const MAX_MESSAGE_BYTES = 1024 * 1024;
/** The kernel takes 253 at a time. */
export const MAX_DESCRIPTORS = 200;

export const FRAME_HEADER_BYTES = 12;
const MAGIC = Buffer.from('SLHO');

/** The other side does not keep to the protocol. */
export class BrokenFrame extends Error {
  override readonly name = 'BrokenFrame';
}

export interface Frame {
  readonly message: Readonly<Record<string, unknown>>;
  readonly descriptors: readonly number[];
}

/** @throws {Error} the message is larger than the other side would read */
export function encodeFrame(message: object, descriptors: number): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  if (text.length > MAX_MESSAGE_BYTES)
    throw new Error(
      `a message of the hand-off has ${text.length} bytes, more than ${MAX_MESSAGE_BYTES}`,
    );
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32BE(text.length, 4);
  header.writeUInt32BE(descriptors, 8);
  return Buffer.concat([header, text]);
}

/** Pure but for what it is given to close descriptors with. */
export class FrameReader {
  readonly #close: (descriptor: number) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #descriptors: number[] = [];

  constructor(close: (descriptor: number) => void) {
    this.#close = close;
  }

  /** What has arrived; then ask for `next` until there is none. */
  add(bytes: Buffer, descriptors: readonly number[]): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    this.#descriptors.push(...descriptors);
  }

  /**
   * @returns the next frame that is whole; its descriptors are the caller's from then on
   * @throws {BrokenFrame} nothing after it can be understood; descriptors that came are closed
   */
  next(): Frame | undefined {
    try {
      return this.#take();
    } catch (thrown) {
      this.discard();
      throw thrown;
    }
  }

  /** Whether the stream may end here. */
  get isBetweenFrames(): boolean {
    return this.#bytes.length === 0 && this.#descriptors.length === 0;
  }

  /** Closes what came for a frame that will never be whole. */
  discard(): void {
    for (const descriptor of this.#descriptors) this.#close(descriptor);
    this.#descriptors = [];
    this.#bytes = Buffer.alloc(0);
  }

  #take(): Frame | undefined {
    const bytes = this.#bytes;
    const start = bytes.subarray(0, MAGIC.length);
    if (!start.equals(MAGIC.subarray(0, start.length)))
      throw new BrokenFrame(`expected "SLHO", got ${JSON.stringify(start.toString('latin1'))}`);
    if (this.#descriptors.length > MAX_DESCRIPTORS)
      throw tooManyDescriptors(this.#descriptors.length);
    if (bytes.length < FRAME_HEADER_BYTES) return undefined;
    const length = bytes.readUInt32BE(4);
    const descriptors = bytes.readUInt32BE(8);
    if (length > MAX_MESSAGE_BYTES)
      throw new BrokenFrame(`expected at most ${MAX_MESSAGE_BYTES} bytes, got ${length}`);
    if (descriptors > MAX_DESCRIPTORS) throw tooManyDescriptors(descriptors);
    const end = FRAME_HEADER_BYTES + length;
    if (bytes.length < end) return undefined;
    const message = parse(bytes.subarray(FRAME_HEADER_BYTES, end));
    const missing = descriptors > this.#descriptors.length;
    const tooMany = bytes.length === end && descriptors < this.#descriptors.length;
    if (missing || tooMany)
      throw new BrokenFrame(`expected ${descriptors} descriptors, got ${this.#descriptors.length}`);
    this.#bytes = bytes.subarray(end);
    return { message, descriptors: this.#descriptors.splice(0, descriptors) };
  }
}

function tooManyDescriptors(count: number): BrokenFrame {
  return new BrokenFrame(`expected at most ${MAX_DESCRIPTORS} descriptors, got ${count}`);
}

function parse(text: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch (thrown) {
    throw new BrokenFrame(`expected JSON in UTF-8: ${(thrown as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new BrokenFrame('expected an object');
}

/** As much of RFC 6455 as two ends of the proof need: whole text frames below 126 bytes, and close. */
import { randomBytes } from 'node:crypto';

export const TEXT = 0x1;
export const CLOSE = 0x8;

/** What a client appends to its key, to show the server has understood it (RFC 6455 §1.3). */
export const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export interface Frame {
  readonly opcode: number;
  readonly text: string;
}

/** @param masked as the frames of clients must be */
export function encodeFrame({ opcode, text }: Frame, masked: boolean): Buffer {
  const payload = Buffer.from(text, 'latin1');
  if (payload.length > 125) throw new Error('only short frames are sent');
  const head = [0x80 | opcode, (masked ? 0x80 : 0) | payload.length];
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  const mask = randomBytes(4);
  return Buffer.concat([Buffer.from(head), mask, unmask(payload, mask)]);
}

/** Gathers bytes into frames. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** @returns the frames that are complete now; `undefined`: bytes that are no frame of ours */
  read(bytes: Buffer): readonly Frame[] | undefined {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    const frames: Frame[] = [];
    for (;;) {
      const [first, second] = this.#pending;
      if (first === undefined || second === undefined) return frames;
      const opcode = first & 0x0f;
      const length = second & 0x7f;
      const isMasked = (second & 0x80) !== 0;
      const isOurs = (first & 0xf0) === 0x80 && (opcode === TEXT || opcode === CLOSE);
      if (!isOurs || length > 125) return undefined;
      const start = isMasked ? 6 : 2;
      if (this.#pending.length < start + length) return frames;
      const payload = this.#pending.subarray(start, start + length);
      const plain = isMasked ? unmask(payload, this.#pending.subarray(2, 6)) : payload;
      frames.push({ opcode, text: plain.toString('latin1') });
      this.#pending = this.#pending.subarray(start + length);
    }
  }
}

function unmask(payload: Buffer, mask: Buffer): Buffer {
  return Buffer.from(payload.map((byte, index) => byte ^ mask[index % 4]!));
}

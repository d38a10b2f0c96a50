/**
 * One end of the connection between two supervisors: whole messages, with their
 * descriptors, one at a time.
 *
 * Not over `node:net`, which would read bytes away from the descriptors that are
 * attached to them. The socket is asked whether something has come instead, often
 * at first and then 40 times a second: a hand-off has a dozen messages and takes
 * seconds, and no call waits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescriptorPassing } from '../../shared/memory/descriptor-passing.ts';
import { asFailure, HandoffFailure } from './failure.ts';
import { encodeFrame, FrameReader, type Frame } from './frames.ts';

export interface Patience {
  readonly withinMs: number;
  /** This side is told to stop. */
  readonly abort: AbortSignal;
}

export type ChannelCalls = Pick<DescriptorPassing, 'sendBytes' | 'receiveBytes'> & {
  close(fd: number): void;
};

const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 25;

export class Channel {
  readonly #calls: ChannelCalls;
  readonly #fd: number;
  /** The other side, in words for the log. */
  readonly other: string;
  readonly #reader: FrameReader;
  #closed = false;

  /** @param fd a connected Unix socket, the channel's from now on */
  constructor(calls: ChannelCalls, fd: number, other: string) {
    this.#calls = calls;
    this.#fd = fd;
    this.other = other;
    this.#reader = new FrameReader((descriptor) => calls.close(descriptor));
  }

  /**
   * Returns when the system has the message. That nobody is there to read it is no
   * failure of the sender: what the other side said last can still be received.
   *
   * @throws {HandoffFailure} late, stopped, or the system refuses to send
   */
  async send(message: object, descriptors: readonly number[], patience: Patience): Promise<void> {
    const bytes = encodeFrame(message, descriptors.length);
    let sent = 0;
    await this.#repeat(patience, 'did not take a message', () => {
      try {
        sent += this.#calls.sendBytes(
          this.#fd,
          bytes.subarray(sent),
          sent === 0 ? descriptors : [],
        );
      } catch (thrown) {
        if (isGone(thrown)) return true;
        throw new HandoffFailure('failed', (thrown as Error).message, { cause: thrown });
      }
      return sent === bytes.length || undefined;
    });
  }

  /** As `send`, for a last word: whatever the system does not take at once is not said. */
  sendLast(message: object): void {
    if (this.#closed) return;
    try {
      this.#calls.sendBytes(this.#fd, encodeFrame(message, 0), []);
    } catch {
      // Nobody is left to hear it.
    }
  }

  /**
   * @returns the next message; its descriptors are the caller's
   * @throws {HandoffFailure} lost, late, broken or stopped; nothing stays open
   */
  receive(patience: Patience): Promise<Frame> {
    return this.#repeat(patience, 'did not answer', () => this.#receiveSome());
  }

  closeDescriptors(descriptors: readonly number[]): void {
    for (const descriptor of descriptors) this.#calls.close(descriptor);
  }

  /** May be called more than once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.discard();
    this.#calls.close(this.#fd);
  }

  #receiveSome(): Frame | undefined {
    for (;;) {
      const frame = this.#whole();
      if (frame !== undefined) return frame;
      const arrived = this.#arrived();
      if (arrived === 'nothing') return undefined;
      if (arrived === 'end') {
        const where = this.#reader.isBetweenFrames ? '' : ' in the middle of a message';
        throw new HandoffFailure('lost', `${this.other} has ended${where}`);
      }
      this.#reader.add(arrived.bytes, arrived.descriptors);
    }
  }

  #arrived() {
    try {
      return this.#calls.receiveBytes(this.#fd);
    } catch (thrown) {
      if (isGone(thrown)) return 'end';
      throw new HandoffFailure('failed', (thrown as Error).message, { cause: thrown });
    }
  }

  #whole(): Frame | undefined {
    try {
      return this.#reader.next();
    } catch (thrown) {
      throw asFailure(thrown, this.other);
    }
  }

  async #repeat<T>(
    { withinMs, abort }: Patience,
    what: string,
    attempt: () => T | undefined,
  ): Promise<T> {
    const giveUpAt = performance.now() + withinMs;
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      // First of all: whoever stops may have closed the descriptors that were to be sent.
      if (abort.aborted) throw new HandoffFailure('stopped', 'this process is told to stop');
      if (this.#closed) throw new HandoffFailure('stopped', 'the connection is closed');
      const result = attempt();
      if (result !== undefined) return result;
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0)
        throw new HandoffFailure('late', `${this.other} ${what} within ${withinMs} ms`);
      await pause(Math.min(pauseMs, leftMs), abort);
      pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS);
    }
  }
}

/** Shorter if this side is told to stop: the other one must hear of it before the process has ended. */
async function pause(ms: number, abort: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal: abort });
  } catch {
    // The next look at the signal says so.
  }
}

/** The other side has closed the connection. */
function isGone(thrown: unknown): boolean {
  const { code } = thrown as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET';
}

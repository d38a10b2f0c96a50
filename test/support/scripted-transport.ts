/** A transport whose other side is the test: it says what the kernel takes, and sees what was asked of it. */
import type { Transport } from '../../src/worker/transport/transport.ts';

export class ScriptedTransport implements Transport {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  readonly tls = undefined;
  handOvers = 0;
  /** Whether the kernel has room for what is written. */
  hasRoom = true;
  /** Everything that was written, as Latin-1. */
  written = '';
  unsentBytes = 0;
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  isReset = false;

  writeText(latin1: string): boolean {
    this.written += latin1;
    if (!this.hasRoom) this.unsentBytes += latin1.length;
    return this.hasRoom;
  }

  writeBytes(latin1: string, bytes: Buffer, from: number, end: number): boolean {
    return this.writeText(latin1 + bytes.latin1Slice(from, end));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  reset(): void {
    this.isReset = true;
  }
}

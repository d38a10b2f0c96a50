/**
 * One byte stream to a client or to a peer, and the connection that owns it.
 * There are two kinds: over the bare TCP handle (`tcp-transport.ts`) on the data
 * path, and over a socket of Node's (`socket-transport.ts`) for everything else.
 */
import type { TlsFacts } from '../http/exchange.ts';

/** The connection that owns a transport, and hears of everything that happens to it. */
export interface TransportOwner {
  /** Bytes `[from, end)` arrived; valid only during the call. */
  onBytes(bytes: Buffer, from: number, end: number): void;
  /** The other side will send no more; writing may still be possible. */
  onEnd(): void;
  /** The kernel did not take what was written a moment ago: until `onWritable`, better write nothing more. */
  onBlocked(): void;
  /** Everything that was written has left for the kernel, after `write…` or `onBlocked` said no. */
  onWritable(): void;
  /** The end of it, exactly once; nothing is called afterwards. */
  onClosed(error: Error | undefined): void;
}

export interface Transport {
  /** Numeric; `'unix:'` for a Unix socket. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** `undefined` without TLS. */
  readonly tls: TlsFacts | undefined;
  /**
   * With TLS, once `onEnd` was called: the other side has not said so itself, only the
   * TCP connection has ended. Anybody on the way can do that (RFC 9112 §9.8).
   */
  readonly isCut?: boolean;
  /**
   * For heads and small bodies. It leaves soon, and until then others that are
   * written join it; if the kernel then does not take it, `onBlocked` says so.
   *
   * @returns false: the kernel is full already; wait for `onWritable`
   */
  writeText(latin1: string): boolean;
  /**
   * The text and behind it the bytes `[from, end)`, as one write and at once. The
   * caller may do with the bytes what it likes afterwards.
   *
   * @returns as `writeText`
   */
  writeBytes(latin1: string, bytes: Buffer, from: number, end: number): boolean;
  /** Written, but not yet given to the kernel. */
  readonly unsentBytes: number;
  /** How often something was given to the kernel. What was written at this count is still waiting. */
  readonly handOvers: number;
  /** Reads no more for now; nothing arrives after the call. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then says that no more will come. */
  end(): void;
  /** Closes at once; what has not left yet is lost. */
  destroy(): void;
  /** Closes at once, with a TCP reset where there is one, so that the other side cannot take what it got for complete. */
  reset(): void;
}

/** Text up to this length is joined and written as a string, which Node sends without an allocation. */
export const SMALL_WRITE = 16 * 1024 - 256;

/** Owns what nobody wants. */
export const NOBODY: TransportOwner = {
  onBytes() {},
  onEnd() {},
  onBlocked() {},
  onWritable() {},
  onClosed() {},
};

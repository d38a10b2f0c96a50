/**
 * The part of Node's inside that the data path uses: the bare TCP handle below
 * `net.Socket`. This file alone knows where to find it.
 *
 * `net.Socket` costs 15–25 µs per new connection, 1 µs per write and 4 KB per
 * idle connection more than the handle, for streams, events and timers that a
 * proxy has no use for. The way to the handle is deprecated (DEP0111) and may
 * close some day, or be closed by Node's permission model: then `tcpInternals`
 * is `undefined`, and everything runs over `net.Socket` instead, only slower.
 */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A `uv_tcp_t`. Its functions return 0, or a negative system error number. */
export interface TcpHandle {
  /** Called with the handle as `this`; how many bytes, or which error, is in the stream state. */
  onread: ((this: TcpHandle) => void) | undefined;
  readonly fd: number;
  /** Bytes of unfinished writes. */
  readonly writeQueueSize: number;
  /** Whose handle it is; for `onread`, which is one function for all of them. */
  owner?: HandleOwner;
  readStart(): number;
  readStop(): number;
  /** Reading goes into this buffer from now on. Once per handle: each call costs memory until it is closed. */
  useUserBuffer(buffer: Buffer): void;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  shutdown(request: ShutdownRequest): number;
  close(onClosed: (this: TcpHandle) => void): void;
  /** Closes with a TCP reset. */
  reset(onClosed: (this: TcpHandle) => void): number;
  setNoDelay(on: boolean): void;
  /** Node 24 takes the first two, and probes each second, ten times. */
  setKeepAlive(on: boolean, idleSeconds: number, intervalSeconds: number, count: number): number;
  bind(address: string, port: number): number;
  bind6(address: string, port: number, flags: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  getpeername(into: { address?: string; port?: number }): number;
}

/** When the kernel asks a silent connection whether the other end is still there. */
export interface TcpKeepAlive {
  /** Of silence, before it asks for the first time. */
  readonly idleMs: number;
  /** Between two questions. */
  readonly intervalMs: number;
  /** Questions without an answer, after which the connection has failed. */
  readonly count: number;
}

export interface HandleOwner {
  /** @param length of what was read; 0: nothing after all; negative: the error, or the end */
  onRead(length: number): void;
  onClosed(): void;
}

/** Keeps what an unfinished write needs alive, and hears of its end; may be used again if there is none. */
export interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Held for the kernel. */
  buffer?: Buffer;
}

export interface ShutdownRequest {
  oncomplete?: (status: number) => void;
}

export interface ConnectRequest {
  oncomplete?: (status: number) => void;
}

export interface TcpInternals {
  readonly TCP: new (type: 0) => TcpHandle;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => ShutdownRequest;
  /** What the latest call on any handle left behind; read it before the next one. */
  readonly state: Int32Array;
  /** Index into `state`: bytes read, or the error. */
  readonly READ: number;
  /** Index into `state`: 1 if the latest write is still under way. */
  readonly WRITE_IS_ASYNC: number;
}

/** A socket of Node's over a connected handle. The option is not in its documents. */
export function socketOver(handle: TcpHandle): Socket {
  return new Socket({ handle, allowHalfOpen: true } as object);
}

/**
 * The next `destroy` of this TCP socket, or of a TLS socket over it, closes it with
 * a reset. `resetAndDestroy` does the same in one step, but is not for a socket
 * below TLS: if the TLS socket is destroyed before the close has been reported, the
 * process dies of a segmentation fault (Node 26.10).
 */
export function closeWithReset(tcp: Duplex): void {
  (tcp as Duplex & { resetAndClosing?: boolean }).resetAndClosing = true;
}

/**
 * Hears, once, how the other side of a TLS connection has ended it: with TLS's own
 * words, or only with the TCP connection below, as anybody on the way can do.
 *
 * Node reports both in the same way. But it reports them while it reads: in the
 * first case the connection below is still being read, and beginning to read it
 * is an error; in the second it has ended, and reading can begin anew.
 *
 * @param socket TLS, over `below`
 * @param below where it is nothing that Node reads by a handle, nothing is heard
 */
export function onEndOfTls(
  socket: Duplex,
  below: Duplex,
  heard: (how: 'closed' | 'cut') => void,
): void {
  const push = socket.push.bind(socket);
  let isOver = false;
  socket.push = (bytes: unknown, encoding?: BufferEncoding) => {
    if (bytes === null && !isOver) {
      isOver = true;
      const how = howItEnded(socket, below);
      if (how !== undefined) heard(how);
    }
    return push(bytes, encoding);
  };
}

interface ReadByHandle {
  readonly _handle?: {
    /** Node has not stopped it. */
    readonly reading?: boolean;
    readStart?(): number;
    readStop?(): number;
  } | null;
}

function howItEnded(socket: Duplex, below: Duplex): 'closed' | 'cut' | undefined {
  const { _handle: ofTls } = socket as ReadByHandle;
  const { _handle: ofTcp } = below as ReadByHandle;
  if (ofTls?.reading === undefined || ofTcp?.readStart === undefined) return undefined;
  // What is not read cannot have come to its end.
  if (!ofTls.reading) return 'closed';
  if (ofTcp.readStart() !== 0) return 'closed';
  ofTcp.readStop?.();
  return 'cut';
}

let known: TcpInternals | undefined | 'not looked for' = 'not looked for';

/** @returns `undefined` where this Node does not have what we expect, in the form we expect */
export function tcpInternals(): TcpInternals | undefined {
  if (known === 'not looked for') known = lookForThem();
  return known;
}

interface StreamBinding {
  readonly WriteWrap?: unknown;
  readonly ShutdownWrap?: unknown;
  readonly streamBaseState?: unknown;
  readonly kReadBytesOrError?: unknown;
  readonly kLastWriteWasAsync?: unknown;
}

interface TcpBinding {
  readonly TCP?: { readonly prototype: object };
  readonly TCPConnectWrap?: unknown;
}

const NEEDED = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'shutdown',
  'close',
  'reset',
  'setNoDelay',
  'setKeepAlive',
  'bind',
  'bind6',
  'connect',
  'connect6',
  'getpeername',
];

function lookForThem(): TcpInternals | undefined {
  try {
    const node = process as unknown as { binding(name: string): unknown };
    const stream = node.binding('stream_wrap') as StreamBinding;
    const { TCP, TCPConnectWrap } = node.binding('tcp_wrap') as TcpBinding;
    const { WriteWrap, ShutdownWrap, streamBaseState: state } = stream;
    const { kReadBytesOrError: READ, kLastWriteWasAsync: WRITE_IS_ASYNC } = stream;
    const isComplete =
      typeof TCP === 'function' &&
      typeof TCPConnectWrap === 'function' &&
      typeof WriteWrap === 'function' &&
      typeof ShutdownWrap === 'function' &&
      state instanceof Int32Array &&
      typeof READ === 'number' &&
      typeof WRITE_IS_ASYNC === 'number' &&
      NEEDED.every((name) => name in (TCP as { prototype: object }).prototype);
    if (!isComplete) return undefined;
    const found = { TCP, TCPConnectWrap, WriteWrap, ShutdownWrap, state, READ, WRITE_IS_ASYNC };
    return found as unknown as TcpInternals;
  } catch {
    return undefined;
  }
}

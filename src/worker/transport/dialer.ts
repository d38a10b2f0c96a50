/** One attempt at one address: over the bare handle, or with a socket of Node's. */
import { connect as connectWithNode, isIPv6, type Socket } from 'node:net';
import type { TcpHandle, TcpInternals, TcpKeepAlive } from './node-internals.ts';
import { systemError } from './system-error.ts';

export interface Where {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  /** Of the same family; `undefined`: the system chooses. */
  readonly source: string | undefined;
  readonly keepAlive: TcpKeepAlive | undefined;
}

export interface Dialer<Connection> {
  /** @param done hears of the end once, unless it is closed before; never before this has returned */
  dial(where: Where, done: (error: NodeJS.ErrnoException | undefined) => void): Connection;
  close(connection: Connection): void;
}

export function handleDialer({ TCP, TCPConnectWrap }: TcpInternals): Dialer<TcpHandle> {
  return {
    dial(where, done) {
      const handle = new TCP(0);
      const ended = (status: number) => {
        if (status !== 0) return done(failure(status, where));
        handle.setNoDelay(true);
        const { keepAlive } = where;
        if (keepAlive !== undefined) {
          const { idleMs, intervalMs, count } = keepAlive;
          handle.setKeepAlive(true, inSeconds(idleMs), inSeconds(intervalMs), count);
        }
        done(undefined);
      };
      const request = new TCPConnectWrap();
      request.oncomplete = ended;
      const status = begin(handle, request, where);
      if (status !== 0) setImmediate(ended, status);
      return handle;
    },
    close: (handle) => handle.close(forget),
  };
}

function begin(handle: TcpHandle, request: object, { address, port, source }: Where): number {
  const isV6 = isIPv6(address);
  if (source !== undefined) {
    const status = isV6 ? handle.bind6(source, 0, 0) : handle.bind(source, 0);
    if (status !== 0) return status;
  }
  return isV6 ? handle.connect6(request, address, port) : handle.connect(request, address, port);
}

function failure(status: number, { source }: Where): NodeJS.ErrnoException {
  const error = systemError(status, 'connect');
  // The system tells of a source that it does not have only when it is to connect from there.
  if (source !== undefined) error.message += ` from ${source}`;
  return error;
}

/** The system counts in seconds, and takes 0 for its own idea. */
function inSeconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1_000));
}

function forget(): void {}

export const socketDialer: Dialer<Socket> = {
  dial({ address, port, source, keepAlive }, done) {
    const socket = connectWithNode({
      host: address,
      port,
      ...(source !== undefined && { localAddress: source }),
      allowHalfOpen: true,
      noDelay: true,
    });
    socket.once('error', (error) => done(error));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      if (keepAlive !== undefined) {
        const { idleMs, intervalMs, count } = keepAlive;
        (socket as KeptAlive).setKeepAlive(true, idleMs, intervalMs, count);
      }
      done(undefined);
    });
    return socket;
  },
  close(socket) {
    socket.removeAllListeners();
    socket.on('error', forget);
    socket.destroy();
  },
};

/** The last two arguments are newer than Node's types, and than Node 24. */
interface KeptAlive {
  setKeepAlive(on: boolean, idleMs: number, intervalMs: number, count: number): void;
}

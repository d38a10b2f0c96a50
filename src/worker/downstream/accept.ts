/**
 * Accepts connections on one listening socket.
 *
 * Node builds a `net.Socket` for each accepted connection before it tells us,
 * and such a socket ignores `onread`. So the server's handle gets our own
 * callback, which receives the bare connection and makes the one socket we
 * want. That is private to Node: where the private part is not as expected,
 * accepting falls back to the public event and to `data` events, which cost a
 * few microseconds and nothing else.
 */
import { createServer, type Server } from 'node:net';
import { Transport, type AcceptedHandle, type TransportOwner } from '../transport/transport.ts';

export interface ListenTarget {
  /** A descriptor of the supervisor's: in a cluster worker Node looks it up there. */
  readonly fd?: number;
  /** Without descriptors to inherit: the supervisor opens the address when the first worker asks. */
  readonly host?: string;
  readonly port?: number;
}

export interface Acceptor {
  readonly address: { readonly host: string; readonly port: number };
  /** No more connections; those accepted are the caller's. */
  close(): void;
}

/** The part of a `TCP` handle that we use, private to Node. */
interface ServerHandle {
  onconnection?: (status: number, connection: ConnectionHandle | undefined) => void;
}

interface ConnectionHandle extends AcceptedHandle {
  setNoDelay(on: boolean): void;
}

/** Connections that wait in the kernel to be accepted; it lowers this to net.core.somaxconn. */
export const BACKLOG = 65_535;

export async function accept(
  target: ListenTarget,
  ownerOf: (transport: Transport) => TransportOwner,
  onError: (error: Error) => void,
): Promise<Acceptor> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.on('connection', (socket) => Transport.overSocket(socket, ownerOf));
  await listen(server, target);
  server.on('error', onError);
  takeHandles(server, ownerOf, onError);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP listener');
  return {
    address: { host: address.address, port: address.port },
    close: () => server.close(),
  };
}

function listen(server: Server, target: ListenTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...target, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function takeHandles(
  server: Server,
  ownerOf: (transport: Transport) => TransportOwner,
  onError: (error: Error) => void,
): void {
  const handle = (server as unknown as { _handle?: ServerHandle })._handle;
  if (typeof handle?.onconnection !== 'function') return;
  handle.onconnection = (status, connection) => {
    if (status !== 0 || connection === undefined) {
      return onError(new Error(`accept failed with system error ${status}`));
    }
    connection.setNoDelay(true);
    Transport.overHandle(connection, ownerOf);
  };
}

/**
 * Accepts connections on one listening socket.
 *
 * Node makes a `net.Socket` of each accepted connection before it tells us. The
 * server's handle gets our own callback instead, which receives the bare
 * connection. That is private to Node: where the private part is not as expected,
 * accepting falls back to the public event (`transport/node-internals.ts`).
 */
import { createServer, type Server } from 'node:net';
import { tcpInternals, type TcpHandle } from '../transport/node-internals.ts';
import { SocketTransport } from '../transport/socket-transport.ts';
import { systemError } from '../transport/system-error.ts';
import { TcpTransport } from '../transport/tcp-transport.ts';
import type { Transport, TransportOwner } from '../transport/transport.ts';

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
  onconnection?: (status: number, connection: TcpHandle | undefined) => void;
}

/** Connections that wait in the kernel to be accepted; it lowers this to net.core.somaxconn. */
export const BACKLOG = 65_535;

export async function accept(
  target: ListenTarget,
  ownerOf: (transport: Transport) => TransportOwner,
  onError: (error: Error) => void,
): Promise<Acceptor> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.on('connection', (socket) => SocketTransport.over(socket, ownerOf));
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
  if (tcpInternals() === undefined || typeof handle?.onconnection !== 'function') return;
  handle.onconnection = (status, connection) => {
    if (status !== 0 || connection === undefined) return onError(systemError(status, 'accept'));
    const remote: { address?: string; port?: number } = {};
    connection.getpeername(remote);
    const { address, port } = remote;
    // Gone already: there is nobody to answer, and nobody to hold responsible.
    if (address === undefined || port === undefined) return connection.close(() => {});
    connection.setNoDelay(true);
    TcpTransport.over(connection, { address, port }, ownerOf);
  };
}

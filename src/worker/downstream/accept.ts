/**
 * Accepts connections on one listening socket.
 *
 * Node makes a `net.Socket` of each accepted connection before it tells us. The
 * server's handle gets our own callback instead, which receives the bare
 * connection. That is private to Node: where the private part is not as expected,
 * accepting falls back to the public event (`transport/node-internals.ts`).
 */
import { createServer, type Server, type Socket } from 'node:net';
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
  /** `undefined`: a Unix socket. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  /** No more connections; those accepted are the caller's. */
  close(): void;
}

/** The part of a `TCP` handle that we use, private to Node. */
interface ServerHandle {
  onconnection?: (status: number, connection: TcpHandle | undefined) => void;
}

/** Connections that wait in the kernel to be accepted; it lowers this to net.core.somaxconn. */
export const BACKLOG = 65_535;

export type Accept = (
  target: ListenTarget,
  ownerOf: (transport: Transport) => TransportOwner,
  onError: (error: Error) => void,
) => Promise<Acceptor>;

export const accept: Accept = async (target, ownerOf, onError) => {
  const server = await listen(target, (socket) => SocketTransport.over(socket, ownerOf), onError);
  const acceptor = acceptorOf(server);
  // The handles of a Unix socket's connections are of another kind, and have no address.
  if (acceptor.address !== undefined) takeHandles(server, ownerOf, onError);
  return acceptor;
};

/** As `accept`, for who needs sockets of Node's: TLS. */
export async function acceptSockets(
  target: ListenTarget,
  onSocket: (socket: Socket) => void,
  onError: (error: Error) => void,
): Promise<Acceptor> {
  return acceptorOf(await listen(target, onSocket, onError));
}

function acceptorOf(server: Server): Acceptor {
  // Of a Unix socket that somebody else has opened, Node does not even know the path.
  const address = server.address();
  const isTcp = typeof address === 'object' && address !== null;
  return {
    address: isTcp ? { host: address.address, port: address.port } : undefined,
    close: () => server.close(),
  };
}

async function listen(
  target: ListenTarget,
  onSocket: (socket: Socket) => void,
  onError: (error: Error) => void,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.on('connection', onSocket);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...target, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', onError);
  return server;
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

/** Connects to a Unix socket, of a peer on the same host or of a proxy. */
import { connect } from 'node:net';
import type { ConnectListener, ConnectSocketListener } from '../transport/connect.ts';
import { SocketTransport } from '../transport/socket-transport.ts';

/** @returns stops it, if it has not ended yet */
export function connectUnix(path: string, listener: ConnectListener): () => void {
  return connectUnixSocket(path, {
    onSocket: (socket) => listener.onConnected((ownerOf) => SocketTransport.over(socket, ownerOf)),
    onFailed: (error) => listener.onFailed(error),
  });
}

/** As `connectUnix`; what the socket has to say from then on is the listener's business. */
export function connectUnixSocket(path: string, listener: ConnectSocketListener): () => void {
  const socket = connect({ path, allowHalfOpen: true });
  socket.once('error', (error) => listener.onFailed(error));
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    listener.onSocket(socket);
  });
  return () => {
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  };
}

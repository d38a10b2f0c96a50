/** Connects to a peer on the same host through a Unix socket. */
import { connect } from 'node:net';
import type { ConnectListener } from '../transport/connect.ts';
import { SocketTransport } from '../transport/socket-transport.ts';

/** @returns stops it, if it has not ended yet */
export function connectUnix(path: string, listener: ConnectListener): () => void {
  const socket = connect({ path, allowHalfOpen: true });
  socket.once('error', (error) => listener.onFailed(error));
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    listener.onConnected((ownerOf) => SocketTransport.over(socket, ownerOf));
  });
  return () => {
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  };
}

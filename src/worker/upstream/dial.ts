/** Connects to a peer in the way that its address and its options ask for. */
import { connectTls } from '../tls/client.ts';
import { connect, type ConnectListener } from '../transport/connect.ts';
import type { HttpPeer } from './peer.ts';
import { connectUnix } from './unix.ts';

/** @returns stops it, if it has not ended yet */
export type Dial = (peer: HttpPeer, listener: ConnectListener) => () => void;

export const dial: Dial = (peer, listener) => {
  if (peer.path !== undefined) return connectUnix(peer.path, listener);
  return peer.tls === undefined ? connect(peer, listener) : connectTls(peer, peer.tls, listener);
};

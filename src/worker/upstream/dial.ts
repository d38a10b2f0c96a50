/** Connects to a peer in the way that its address and its options ask for. */
import type { Duplex } from 'node:stream';
import { shakeHands } from '../tls/client.ts';
import { connect, connectSocket, type ConnectListener } from '../transport/connect.ts';
import { SocketTransport } from '../transport/socket-transport.ts';
import { connectWith, type StreamListener } from './custom-connector.ts';
import type { HttpPeer } from './peer.ts';
import { connectThrough } from './through-proxy.ts';
import { connectUnix } from './unix.ts';

/** What is waited for: a connection, the answer of the proxy on the way, the end of the handshake. */
export type DialStep = 'connection' | 'proxy' | 'handshake';

export interface DialListener extends ConnectListener {
  /** The first step has begun before anything is heard. */
  onStep?(step: DialStep): void;
}

/**
 * @param proxyHeader of the PROXY protocol, for a peer that wants one: the first bytes it gets
 * @returns stops it, if it has not ended yet
 */
export type Dial = (peer: HttpPeer, listener: DialListener, proxyHeader: string) => () => void;

export const dial: Dial = (peer, listener, proxyHeader) => {
  const { tls } = peer;
  if (tls === undefined && peer.connector === undefined && peer.proxy === undefined) {
    const direct = proxyHeader === '' ? listener : beginningWith(proxyHeader, listener);
    return peer.path === undefined ? connect(peer, direct) : connectUnix(peer.path, direct);
  }
  let stop = openStream(peer, listener, {
    onStream(stream) {
      if (proxyHeader !== '') stream.write(proxyHeader, 'latin1');
      if (tls === undefined) return listener.onConnected((ownerOf) => over(stream, ownerOf));
      listener.onStep?.('handshake');
      stop = shakeHands(stream, peer.wayKey, tls, listener);
    },
    onFailed: (error) => listener.onFailed(error),
  });
  return () => stop();
};

/** Written before the owner has a say, and in one packet with what it writes. */
function beginningWith(proxyHeader: string, listener: ConnectListener): ConnectListener {
  return {
    onConnected: (connected) =>
      listener.onConnected((ownerOf) =>
        connected((transport) => {
          transport.writeText(proxyHeader);
          return ownerOf(transport);
        }),
      ),
    onFailed: (error) => listener.onFailed(error),
  };
}

function openStream(peer: HttpPeer, dialing: DialListener, listener: StreamListener): () => void {
  const { connector, proxy } = peer;
  if (connector !== undefined) return connectWith((signal) => connector(peer, signal), listener);
  const onSocket = (socket: Duplex) => listener.onStream(socket);
  const onFailed = (error: Error) => listener.onFailed(error);
  if (proxy === undefined) return connectSocket(peer, { onSocket, onFailed });
  return connectThrough(proxy, peer, () => dialing.onStep?.('proxy'), { onSocket, onFailed });
}

/** It may have been paused, so that nothing is lost on the way to its owner. */
function over(stream: Duplex, ownerOf: Parameters<typeof SocketTransport.over>[1]): void {
  SocketTransport.over(stream, ownerOf);
  stream.resume();
}

/** Asks a proxy for a connection to a peer, and hands on what it gives. */
import type { Socket } from 'node:net';
import { ResponseHeadParser } from '../protocol/http1/response-head.ts';
import type { ResponseHead } from '../http/message.ts';
import { connectSocket, type ConnectSocketListener } from '../transport/connect.ts';
import type { TcpKeepAlive } from '../transport/node-internals.ts';
import type { ConnectProxy } from './connect-proxy.ts';
import { connectUnixSocket } from './unix.ts';

/** The proxy said no, or something that is no answer. */
export class ProxyRefused extends Error {
  override readonly name = 'ProxyRefused';
}

export interface WayToProxy {
  readonly bindToIpv4: string | undefined;
  readonly bindToIpv6: string | undefined;
  readonly tcpKeepAlive: TcpKeepAlive | undefined;
}

/**
 * @param onAsked it is connected, and its answer is waited for
 * @returns stops it, if it has not ended yet
 */
export function connectThrough(
  proxy: ConnectProxy,
  way: WayToProxy,
  onAsked: () => void,
  listener: ConnectSocketListener,
): () => void {
  const { host, port, path } = proxy;
  const { bindToIpv4, bindToIpv6, tcpKeepAlive } = way;
  const toProxy: ConnectSocketListener = {
    onSocket(socket) {
      onAsked();
      stop = ask(socket, proxy, listener);
    },
    onFailed(error) {
      // The code stays, and with it what kind of failure it is.
      error.message = `proxy ${proxy.address}: ${error.message}`;
      listener.onFailed(error);
    },
  };
  let stop =
    path === undefined
      ? connectSocket({ host, port, bindToIpv4, bindToIpv6, tcpKeepAlive }, toProxy)
      : connectUnixSocket(path, toProxy);
  return () => stop();
}

const PARSER = new ResponseHeadParser({ maxHeadBytes: 16 * 1024, maxHeaderCount: 100 });

/** RFC 9110 §15.2: there may be such, and none of them is the answer. */
const MAX_INTERIM_HEADS = 8;

function ask(socket: Socket, proxy: ConnectProxy, listener: ConnectSocketListener): () => void {
  let received = Buffer.alloc(0);
  let interimHeads = 0;
  const leave = () => {
    socket.removeAllListeners();
    socket.on('error', () => {});
  };
  const refuse = (reason: string) => {
    leave();
    socket.destroy();
    listener.onFailed(new ProxyRefused(`proxy ${proxy.address} ${reason}`));
  };
  const read = (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    for (;;) {
      const next = PARSER.parse(received, 0, received.length, 'CONNECT');
      if (next < 0) return;
      const { head } = PARSER.take();
      received = received.subarray(next);
      if (head.status === 101) return refuse('answered 101 to a CONNECT');
      if (head.status >= 200) return answered(head);
      interimHeads += 1;
      if (interimHeads > MAX_INTERIM_HEADS) return refuse('sent interim responses without end');
    }
  };
  const answered = (head: ResponseHead) => {
    if (head.status >= 300) return refuse(`answered ${said(head)}`);
    // Neither HTTP nor TLS lets the peer speak first.
    if (received.length > 0) return refuse('sent bytes that the peer was not asked for');
    socket.pause();
    socket.removeAllListeners();
    listener.onSocket(socket);
  };
  socket.on('data', (bytes) => {
    try {
      read(bytes);
    } catch (thrown) {
      refuse(`sent what is no answer: ${(thrown as Error).message}`);
    }
  });
  socket.on('end', () => refuse('closed without an answer'));
  socket.on('error', ({ message }) => refuse(`closed without an answer: ${message}`));
  socket.write(proxy.request, 'latin1');
  return () => {
    leave();
    socket.destroy();
  };
}

/** `407 Proxy Authentication Required`, and what `Proxy-Status` adds to it (RFC 9209). */
function said({ status, reason, headers }: ResponseHead): string {
  const proxyStatus = headers.get('proxy-status');
  const line = `${status} ${reason}`.trimEnd();
  return proxyStatus === undefined ? line : `${line} (Proxy-Status: ${proxyStatus})`;
}

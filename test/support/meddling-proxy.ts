/** A proxy that passes bytes on, except where a test has it meddle: a server that loses things. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface Link {
  readonly client: Socket;
  readonly peer: Socket;
  /** Sends these bytes to the peer once more, over a connection of their own. */
  readonly again: (bytes: Buffer) => void;
}

export interface Meddling {
  /** Before anything has come. Default: nothing. */
  readonly onConnection?: (link: Link) => void;
  /** Default: passes them on. */
  readonly toPeer?: (bytes: Buffer, link: Link) => void;
  readonly toClient?: (bytes: Buffer, link: Link) => void;
}

/** @returns its port */
export async function meddlingProxy(
  t: TestContext,
  address: string,
  { onConnection, toPeer, toClient }: Meddling,
): Promise<number> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    return socket.on('error', () => {});
  };
  const toAddress = () => keep(connect(Number(address.split(':')[1]), '127.0.0.1'));
  const server = createServer((client) => {
    keep(client);
    const peer = toAddress();
    const link = { client, peer, again: (bytes: Buffer) => void toAddress().write(bytes) };
    client.on('data', (bytes) => (toPeer ? toPeer(bytes, link) : peer.write(bytes)));
    peer.on('data', (bytes) => (toClient ? toClient(bytes, link) : client.write(bytes)));
    client.on('close', () => peer.destroy());
    peer.on('close', () => client.destroySoon());
    onConnection?.(link);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

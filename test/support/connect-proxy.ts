/** A forward proxy for tests: it answers CONNECT, and passes bytes both ways. */
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface ConnectProxy {
  readonly address: string;
  /** What it was asked, in order. */
  readonly asked: readonly {
    readonly target: string;
    readonly headers: IncomingMessage['headers'];
  }[];
}

/**
 * @param where a port of 127.0.0.1, or the path of a Unix socket
 * @param refusal what it says instead; nothing: it connects
 */
export async function startConnectProxy(
  t: TestContext,
  {
    where = 0,
    refusal = () => undefined,
  }: {
    readonly where?: number | string;
    readonly refusal?: (target: string, headers: IncomingMessage['headers']) => string | undefined;
  } = {},
): Promise<ConnectProxy> {
  const asked: { target: string; headers: IncomingMessage['headers'] }[] = [];
  const server = createServer();
  server.on('connect', ({ url = '', headers }: IncomingMessage, client: Socket) => {
    asked.push({ target: url, headers });
    t.after(() => client.destroy());
    client.on('error', () => {});
    const said = refusal(url, headers);
    if (said !== undefined) return void client.write(said, 'latin1');
    const { hostname, port } = new URL(`http://${url}`);
    const peer = connect(Number(port), hostname.replace(/^\[|\]$/g, ''), () => {
      client.write('HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n');
      client.pipe(peer);
      peer.pipe(client);
    });
    t.after(() => peer.destroy());
    peer.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve);
    else server.listen(where, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const address = server.address() as AddressInfo | string;
  return {
    address: typeof address === 'string' ? `unix:${address}` : `127.0.0.1:${address.port}`,
    asked,
  };
}

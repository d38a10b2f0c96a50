/** An upstream peer for tests: a real HTTP server that remembers what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface Peer {
  /** `127.0.0.1:port` */
  readonly address: string;
  readonly port: number;
  readonly requests: readonly SeenRequest[];
  /** TCP connections accepted so far. */
  readonly connectionCount: number;
  close(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** @param handler answers; the default says `hello from PORT` */
export async function startPeer(t: TestContext, handler?: Handler, port = 0): Promise<Peer> {
  const requests: SeenRequest[] = [];
  let connectionCount = 0;
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    try {
      for await (const piece of request) pieces.push(piece as Buffer);
    } catch {
      return; // the client left in the middle of its body
    }
    const body = Buffer.concat(pieces);
    const { method = '', url: target = '', headers, rawHeaders } = request;
    requests.push({ method, target, headers, rawHeaders, body });
    if (handler !== undefined) return handler(request, response, body);
    response.end(`hello from ${(server.address() as AddressInfo).port}`);
  });
  server.on('connection', () => {
    connectionCount += 1;
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  t.after(close);
  const { port: chosen } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${chosen}`,
    port: chosen,
    requests,
    get connectionCount() {
      return connectionCount;
    },
    close,
  };
}

/** Bytes on a wire: a client, and a peer that answers what it is told to. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** A test that waits for what never comes says what came instead. */
const PATIENCE_MS = 20_000;

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far, as Latin-1. */
  readonly received: string;
  send(text: string): void;
  /** Resolves once what was received matches. */
  receives(pattern: RegExp): Promise<string>;
  /** Resolves with everything received, once the other side has closed. */
  closed(): Promise<string>;
}

export async function rawClient(t: TestContext, port: number): Promise<RawClient> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  t.after(() => socket.destroy());
  const client = overSocket(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Accepted and reset before we had a look: connected all the same, and closed.
      if (error.code === 'ECONNRESET') resolve();
      else reject(error);
    });
  });
  return client;
}

/**
 * Everything that a connection gets which is not let in. Its reset may come
 * before we have even seen it established.
 */
export function turnedAway(t: TestContext, port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  t.after(() => socket.destroy());
  return overSocket(socket).closed();
}

export function overSocket(socket: Socket): RawClient {
  let received = '';
  let ended = false;
  const waiting = new Set<() => void>();
  const changed = () => {
    for (const look of waiting) look();
  };
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
    changed();
  });
  const end = () => {
    ended = true;
    changed();
  };
  socket.on('end', end);
  socket.on('close', end);
  socket.on('error', end);

  const until = (holds: () => boolean, what: string) =>
    new Promise<string>((resolve, reject) => {
      const failed = (why: string) =>
        reject(new Error(`${why} before ${what}; received ${JSON.stringify(received)}`));
      const look = () => {
        if (holds()) resolve(received);
        else if (ended) failed('closed');
        else return;
        waiting.delete(look);
        clearTimeout(patience);
      };
      const patience = setTimeout(failed, PATIENCE_MS, `waited ${PATIENCE_MS} ms`);
      waiting.add(look);
      look();
    });

  return {
    socket,
    get received() {
      return received;
    },
    send: (text) => void socket.write(text, 'latin1'),
    receives: (pattern) => until(() => pattern.test(received), `it matched ${pattern}`),
    closed: () => until(() => ended, 'it closed'),
  };
}

export interface RawPeer {
  readonly address: string;
  readonly port: number;
  /** The next connection that has not been given out yet. */
  nextConnection(): Promise<RawClient>;
}

/** A peer whose every byte the test decides. */
export async function rawPeer(t: TestContext): Promise<RawPeer> {
  const arrived: RawClient[] = [];
  const wanted: ((client: RawClient) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    t.after(() => socket.destroy());
    const client = overSocket(socket);
    const taker = wanted.shift();
    if (taker !== undefined) taker(client);
    else arrived.push(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    port,
    nextConnection() {
      const client = arrived.shift();
      if (client !== undefined) return Promise.resolve(client);
      return new Promise((resolve, reject) => {
        const patience = setTimeout(
          () => reject(new Error(`waited ${PATIENCE_MS} ms for a connection`)),
          PATIENCE_MS,
        );
        wanted.push((next) => {
          clearTimeout(patience);
          resolve(next);
        });
      });
    },
  };
}

export interface RecordingPeer {
  readonly address: string;
  /** In the order of their arrival, closed ones too. */
  readonly connections: readonly RawClient[];
}

/** A peer that says nothing and remembers every byte; it closes when the other side does. */
export async function recordingPeer(t: TestContext): Promise<RecordingPeer> {
  const connections: RawClient[] = [];
  const server = createServer((socket) => {
    t.after(() => socket.destroy());
    connections.push(overSocket(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, connections };
}

/** A port that nothing listens on. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

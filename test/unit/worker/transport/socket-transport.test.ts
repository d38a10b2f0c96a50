import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { closeWithReset } from '../../../../src/worker/transport/node-internals.ts';
import { SocketTransport } from '../../../../src/worker/transport/socket-transport.ts';
import type { Transport, TransportOwner } from '../../../../src/worker/transport/transport.ts';
import { authority, edge, eventually } from '../../../support/index.ts';

/** Remembers what it hears; may do something about it. */
class Owner implements TransportOwner {
  readonly heard: string[] = [];
  bytes = 0;
  error: Error | undefined;
  onPiece: () => void = () => {};
  readonly closed: Promise<void>;
  #close = () => {};

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }
  onBytes(_bytes: Buffer, from: number, end: number): void {
    this.bytes += end - from;
    this.heard.push('bytes');
    this.onPiece();
  }
  onEnd(): void {
    this.heard.push('end');
  }
  onBlocked(): void {
    this.heard.push('blocked');
  }
  onWritable(): void {
    this.heard.push('writable');
  }
  onClosed(error: Error | undefined): void {
    this.heard.push('closed');
    this.error = error;
    this.#close();
  }
}

interface Pair {
  readonly transport: Transport;
  readonly owner: Owner;
  readonly other: Socket;
  /** The TCP connection of the other side. */
  readonly below: Socket;
}

async function tcpPair(t: TestContext): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const other = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [socket] = (await once(server, 'connection')) as [Socket];
  return { ...pair(t, socket, other), below: other };
}

async function tlsPair(t: TestContext): Promise<Pair> {
  const raws: Socket[] = [];
  const listening = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  const server = createTlsServer({ cert: edge.cert, key: edge.key });
  listening.on('connection', (raw) => {
    raws.push(raw);
    server.emit('connection', raw);
  });
  t.after(() => listening.close());
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  const below = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const other = connectTls({ socket: below, ca: authority.cert, servername: 'edge.test' });
  const [socket] = (await once(server, 'secureConnection')) as [TLSSocket];
  const facts = { version: 'TLSv1.3', cipher: '', sni: undefined, alpn: undefined };
  return { ...pair(t, socket, other, { facts, raw: raws[0]! }), below };
}

function pair(
  t: TestContext,
  socket: Socket,
  other: Socket,
  secured?: Parameters<typeof SocketTransport.over>[2],
): Omit<Pair, 'below'> {
  t.after(() => other.destroy());
  t.after(() => socket.destroy());
  other.on('error', () => {});
  const owner = new Owner();
  let made: Transport | undefined;
  SocketTransport.over(
    socket,
    (transport) => {
      made = transport;
      return owner;
    },
    secured,
  );
  return { transport: made!, owner, other };
}

const kinds = [
  { name: 'TCP', open: tcpPair },
  { name: 'TLS', open: tlsPair },
];

for (const { name, open } of kinds) {
  describe(`a transport over a socket of Node's, with ${name}`, () => {
    test('delivers nothing after it was paused, until it goes on', async (t) => {
      const { transport, owner, other } = await open(t);
      owner.onPiece = () => transport.pause();
      for (let n = 0; n < 8; n++) other.write(Buffer.alloc(16 * 1024, 'x'));
      await eventually(async () => (owner.bytes > 0 ? true : undefined), 'a first piece');
      await turns(20);
      assert.equal(owner.heard.filter((each) => each === 'bytes').length, 1);

      owner.onPiece = () => {};
      transport.resume();

      await eventually(async () => (owner.bytes === 128 * 1024 ? true : undefined), 'the rest');
    });

    test('tells no end while it is paused', async (t) => {
      const { transport, owner, other } = await open(t);
      owner.onPiece = () => transport.pause();
      other.end('last words');
      await eventually(async () => (owner.bytes === 10 ? true : undefined), 'the last piece');
      await turns(20);
      assert.deepEqual(owner.heard, ['bytes']);

      transport.resume();
      assert.deepEqual(owner.heard, ['bytes'], 'not before the call has returned');

      await eventually(async () => (owner.heard.includes('end') ? true : undefined), 'the end');
    });

    test('may still write when the other side has ended, and closes with the second end', async (t) => {
      const { transport, owner, other } = await open(t);
      let received = '';
      other.on('data', (piece: Buffer) => {
        received += piece.toString();
      });
      other.end();
      await eventually(async () => (owner.heard.includes('end') ? true : undefined), 'the end');

      transport.writeText('late');
      transport.end();
      transport.end();
      await owner.closed;

      await eventually(async () => (received === 'late' ? true : undefined), 'the late words');
      assert.equal(owner.error, undefined);
      assert.equal(owner.heard.filter((each) => each === 'closed').length, 1);
    });

    test('joins what is written in one turn', async (t) => {
      const { transport, other } = await open(t);
      const pieces: string[] = [];
      other.on('data', (piece: Buffer) => pieces.push(piece.toString()));

      transport.writeText('head ');
      transport.writeText('and ');
      transport.writeBytes('first ', Buffer.from('..piece..'), 2, 7);

      await eventually(async () => (pieces.length > 0 ? true : undefined), 'something');
      assert.deepEqual(pieces, ['head and first piece']);
    });

    test('is blocked while nobody reads, and writable once everything has left', async (t) => {
      const { transport, owner, other } = await open(t);
      other.pause();
      const piece = Buffer.alloc(256 * 1024, 'x');
      let written = 0;
      let hasRoom = true;
      while (hasRoom && written < 64) {
        hasRoom = transport.writeBytes('', piece, 0, piece.length);
        written += 1;
        if (hasRoom) await turns(3);
        hasRoom &&= !owner.heard.includes('blocked');
      }
      assert.ok(written < 64, 'it says that it is full before it holds 16 MiB');
      assert.ok(!owner.heard.includes('writable'));

      other.resume();

      await eventually(async () => (owner.heard.includes('writable') ? true : undefined), 'room');
    });

    test('is not blocked by what the kernel takes at once', async (t) => {
      const { transport, owner, other } = await open(t);
      let received = 0;
      other.on('data', (piece: Buffer) => {
        received += piece.length;
      });
      for (let n = 1; n <= 50; n++) {
        assert.equal(transport.writeText('x'.repeat(100)), true);
        await eventually(async () => (received === n * 100 ? true : undefined), 'the text');
      }
      assert.deepEqual(owner.heard, []);
    });

    test('can be reset, more than once, and says who it was', async (t) => {
      const { transport, owner, other } = await open(t);
      const reset = once(other, 'error');

      transport.reset();
      transport.reset();
      transport.destroy();
      await owner.closed;

      const [error] = (await reset) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNRESET');
      assert.equal(transport.remoteAddress, '127.0.0.1');
      assert.ok(transport.remotePort > 0);
      assert.equal(transport.writeText('nobody'), true);
    });

    test('hears of a reset by the other side, once', async (t) => {
      const { transport, owner, other, below } = await open(t);
      // Before that, what the handshake still has to say could meet the reset in our place.
      transport.writeText('hello');
      await once(other, 'data');

      closeWithReset(below);
      other.destroy();
      await owner.closed;

      assert.match(String(owner.error), /ECONNRESET/);

      assert.equal(owner.heard.filter((each) => each === 'closed').length, 1);
    });
  });
}

test('a transport over TLS closes when a record is broken', async (t) => {
  const { owner, below } = await tlsPair(t);
  // A record of application data that nobody has encrypted.
  below.write(Buffer.from(`\x17\x03\x03\x00\x20${'n'.repeat(32)}`, 'latin1'));

  await owner.closed;

  assert.match(String(owner.error?.message), /decryption failed|bad record mac/i);
});

/** Enough of them for anything that is under way on this machine. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}

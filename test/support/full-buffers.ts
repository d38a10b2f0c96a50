/** Sockets whose buffers in the kernel are full, so that the next bytes stay in our memory. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** Less than makes a socket say that it is full. */
const PIECE = 16 * 1024;

export async function socketPair(t: TestContext): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  const theirs = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const ours = await accepted;
  server.close();
  t.after(() => theirs.destroy());
  t.after(() => ours.destroy());
  return { ours, theirs };
}

/** @returns how much was written until a piece of it stayed in the memory of this process */
export async function fill(socket: Socket): Promise<number> {
  const piece = Buffer.alloc(PIECE);
  let written = 0;
  for (;;) {
    const taken = new Promise((resolve) => socket.write(piece, () => resolve('taken')));
    written += PIECE;
    const stuck = new Promise((resolve) => setTimeout(resolve, 200, 'stuck'));
    if ((await Promise.race([taken, stuck])) === 'stuck') return written;
  }
}

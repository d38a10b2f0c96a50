/** Receives descriptors while it may not open any more, and says what that left behind. */
import { readdirSync } from 'node:fs';
import { openLibc } from '../../../../../src/shared/memory/libc.ts';

const libc = openLibc();
if ('unavailable' in libc) throw new Error(libc.unavailable);
const [left, right] = libc.socketPair();
libc.sendBytes(left, Buffer.from('x'), [1, 1, 1]);
// The memory for messages is there from now on.
const before = readdirSync('/proc/self/fd').length;

const hoard: number[] = [];
try {
  for (;;) hoard.push(libc.dup(1));
} catch {
  // Room for one of the three.
  libc.close(hoard.pop()!);
}
let problem: unknown;
try {
  problem = libc.receiveBytes(right);
} catch (thrown) {
  problem = (thrown as Error).message;
}
for (const fd of hoard) libc.close(fd);
const after = readdirSync('/proc/self/fd').length;
process.stdout.write(JSON.stringify({ problem, before, after }));

import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { acceptedBy, isStopped } from '../../../src/prove/kernel.ts';
import { pairOf } from '../../../src/prove/wire/connections.ts';

test('the kernel tells which connections a process has accepted', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const accepted = new Promise((resolve) => server.once('connection', resolve));
  const client = connect(port, '127.0.0.1');
  t.after(() => client.destroy());
  await accepted;

  assert.deepEqual(await acceptedBy(process.pid, new Set([port])), [
    pairOf(client.localPort!, port),
  ]);
  assert.deepEqual(await acceptedBy(process.pid, new Set([port + 1])), []);
  assert.deepEqual(await acceptedBy(process.ppid, new Set([port])), []);
  assert.ok(!isStopped(process.pid));
});

/** A program that starts as its configuration says: well, late, never, or not at all. */
import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import { httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const {
  mischief,
  gate,
  text = 'ok',
} = server.configuration as { mischief?: string; gate?: string; text?: string };

const sleep = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

if (mischief === 'dies') process.exit(7);
if (mischief === 'throws') throw new Error('made for the test');
if (cluster.isWorker) {
  if (mischief === 'worker throws') throw new Error('made for the test');
  if (mischief === 'worker hangs') sleep(60_000);
  while (gate !== undefined && !existsSync(gate)) sleep(20);
}

server.addService(
  httpProxyService({
    requestFilter: (session) => session.respond({ status: 200, body: text }),
    upstreamPeer: () => {
      throw new Error('every request is answered before');
    },
  }).addTcp('127.0.0.1:0'),
);
if (mischief === 'hook throws') {
  server.onStart(() => {
    throw new Error('made for the test');
  });
}
await server.run();

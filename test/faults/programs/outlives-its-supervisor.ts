/** Workers that get no further than their first line before their supervisor is gone. */
import cluster from 'node:cluster';
import { Answer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
if (cluster.isWorker) {
  const supervisor = process.ppid;
  process.stderr.write(`${JSON.stringify({ msg: 'begins', pid: process.pid })}\n`);
  // Without a turn of the event loop, in which it would hear of the end.
  while (process.ppid === supervisor) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

const service = httpProxyService({
  requestFilter: () => new Answer({ status: 200, body: 'ok' }),
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();

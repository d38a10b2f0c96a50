/** Of its two workers one accepts, and answers slowly, while the other one dies over it. */
import cluster from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { Answer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { dies = false, answerAfterMs } = server.configuration as {
  dies?: boolean;
  answerAfterMs: number;
};

if (cluster.isWorker && dies) {
  process.on('message', ({ kind, slot }: { kind: string; slot: number }) => {
    if (kind !== 'accept' || slot !== 1) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
    process.kill(process.pid, 'SIGKILL');
  });
}

const service = httpProxyService({
  async requestFilter() {
    await sleep(answerAfterMs);
    return new Answer({ status: 200, body: dies ? 'new' : 'old' });
  },
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();

/** A worker that is killed between two lines of Sluice's: it has its sockets granted, and has not asked for them. */
import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import { Answer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { deadly } = server.configuration as { deadly: string };

if (cluster.isWorker) {
  process.on('message', ({ kind }: { kind: string }) => {
    if (kind === 'accept' && existsSync(deadly)) process.kill(process.pid, 'SIGKILL');
  });
}

const service = httpProxyService({
  requestFilter: () => new Answer({ status: 200, body: 'ok' }),
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();

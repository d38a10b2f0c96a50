/** A supervisor for which, as soon as there is a certain file, a minute more has passed. */
import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import { Answer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { later } = server.configuration as { later: string };

if (cluster.isPrimary) {
  const now = performance.now.bind(performance);
  performance.now = () => now() + (existsSync(later) ? 60_000 : 0);
}

const service = httpProxyService({
  requestFilter: () => new Answer({ status: 200, body: String(process.pid) }),
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();

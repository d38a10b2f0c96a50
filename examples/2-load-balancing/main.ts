/** Three origins in turn, of which one is broken: no client notices. */
import { httpProxyService, LoadBalancer, roundRobin, Server, TcpHealthCheck } from 'sluice';
import type { ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188' } = process.env;
// Nothing listens on the last one.
const { ORIGINS = '127.0.0.1:9101,127.0.0.1:9102,127.0.0.1:9199' } = process.env;

const balancer = new LoadBalancer(ORIGINS.split(','), {
  name: 'origins', // in shared memory, in logs and in metrics
  selection: roundRobin(),
  healthCheck: new TcpHealthCheck(), // one worker probes for all
  healthCheckFrequencyMs: 1_000,
});

const proxy: ProxyHttp = {
  // After a failed attempt this runs again: then it should not be the same peer.
  upstreamPeer: ({ peer: failed }) =>
    balancer.selectWith((peer) => peer !== failed) ?? balancer.select(),

  responseFilter({ peer }, response) {
    response.headers.set('x-served-by', peer!.address);
  },

  logging({ log, status, peer, attempts, elapsedMs }) {
    const elapsed = `${elapsedMs.toFixed(1)}ms`;
    log.info({}, `status=${status} peer=${peer?.address} attempts=${attempts} elapsed=${elapsed}`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

/** A proxy as it is operated: everything that differs from host to host is in its configuration. */
import { httpProxyService, LoadBalancer, Server, TcpHealthCheck, type ProxyHttp } from 'sluice';

interface Settings {
  readonly listen: string;
  readonly origins: readonly string[];
  /** Says which configuration answers. */
  readonly release: string;
}

const server = Server.fromArgs(); // -c FILE, -t, -d, and the verbs: --help lists them
const { listen, origins, release } = server.configuration as unknown as Settings;
const { LISTEN = listen, ORIGINS = origins.join(',') } = process.env;

const balancer = new LoadBalancer(ORIGINS.split(','), {
  name: 'origins',
  healthCheck: new TcpHealthCheck(),
  healthCheckFrequencyMs: 1_000,
});

const proxy: ProxyHttp = {
  requestFilter(session) {
    // For whoever balances before us: no longer ready while we finish what we have.
    if (session.request.target !== '/healthz') return undefined;
    return session.respondJson(session.isShuttingDown ? 503 : 200, { release });
  },
  upstreamPeer: () => balancer.select(),
  responseFilter: (_session, { headers }) => void headers.set('x-release', release),
  logging({ log, status, peer, elapsedMs }) {
    const elapsed = `${elapsedMs.toFixed(1)}ms`;
    log.info({}, `status=${status} peer=${peer?.address ?? '-'} elapsed=${elapsed}`);
  },
};

server.onStart(
  ({ addresses }) =>
    void process.stdout.write(`serving ${release} on ${addresses.length} address\n`),
);
server.addService(httpProxyService(proxy, { name: 'gateway' }).addTcp(LISTEN));
await server.run();

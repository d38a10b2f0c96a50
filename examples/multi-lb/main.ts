/** Two groups of origins behind one address, each with a balancer and phases of its own. */
import { dispatch, httpProxyService, LoadBalancer, random, roundRobin, Server } from 'sluice';
import { TcpHealthCheck, withFilters, type Filter, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188' } = process.env;
const { ORIGINS = '127.0.0.1:9101,127.0.0.1:9102', API_ORIGINS = '127.0.0.1:9103' } = process.env;

const checked = { healthCheck: new TcpHealthCheck(), healthCheckFrequencyMs: 1_000 };
const webOrigins = new LoadBalancer(ORIGINS.split(','), {
  ...checked,
  name: 'web',
  selection: roundRobin(),
});
const apiOrigins = new LoadBalancer(API_ORIGINS.split(','), {
  ...checked,
  name: 'api',
  selection: random(),
  peerOptions: { readTimeoutMs: 5_000 }, // quick, or not at all
});

const web: ProxyHttp = { upstreamPeer: () => webOrigins.select() };

const api: ProxyHttp = { upstreamPeer: () => apiOrigins.select() };

/** In front of both. */
const shown: Filter = {
  name: 'shown',
  responseFilter: ({ peer }, { headers }) => void headers.set('x-upstream', peer!.upstream),
  logging({ log, status, peer, elapsedMs }) {
    const elapsed = `${elapsedMs.toFixed(1)}ms`;
    log.info({}, `status=${status} upstream=${peer?.upstream ?? '-'} elapsed=${elapsed}`);
  },
};

// The first route that matches; where none does, it is a 404.
const proxy = dispatch([{ match: { path: '/api/*' }, proxy: api }, { proxy: web }]);

const server = Server.fromArgs();
server.addService(httpProxyService(withFilters([shown], proxy)).addTcp(LISTEN));
await server.run();

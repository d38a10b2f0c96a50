/** Two groups of origins behind one address, each with a balancer of its own. */
import { httpProxyService, LoadBalancer, random, roundRobin, Server } from 'sluice';
import { TcpHealthCheck, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188' } = process.env;
const { ORIGINS = '127.0.0.1:9101,127.0.0.1:9102', API_ORIGINS = '127.0.0.1:9103' } = process.env;

const checked = { healthCheck: new TcpHealthCheck(), healthCheckFrequencyMs: 1_000 };
const web = new LoadBalancer(ORIGINS.split(','), {
  ...checked,
  name: 'web',
  selection: roundRobin(),
});
const api = new LoadBalancer(API_ORIGINS.split(','), {
  ...checked,
  name: 'api',
  selection: random(),
  peerOptions: { readTimeoutMs: 5_000 }, // quick, or not at all
});

const proxy: ProxyHttp = {
  upstreamPeer({ request }) {
    const balancer = request.target.startsWith('/api/') ? api : web;
    return balancer.select();
  },
  responseFilter({ peer }, response) {
    response.headers.set('x-upstream', peer!.upstream);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

/** A program whose peer listens on a Unix socket, alone and in a balancer. */
import { HttpPeer, httpProxyService, LoadBalancer, Server, TcpHealthCheck } from 'sluice';

const server = Server.fromArgs();
const { path } = server.configuration as { path: string };
const peer = new HttpPeer(`unix:${path}`);
const balancer = new LoadBalancer([`unix:${path}`], {
  name: 'local',
  healthCheck: new TcpHealthCheck(),
  healthCheckFrequencyMs: 100,
});

server.addService(
  httpProxyService({
    upstreamPeer: ({ request }) => (request.target === '/balanced' ? balancer.select() : peer),
  }).addTcp('127.0.0.1:0'),
);
await server.run();

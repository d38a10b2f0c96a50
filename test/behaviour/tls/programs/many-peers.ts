/** A program on the framework with several peers at one address: `/2` asks the third of them. */
import { HttpPeer, httpProxyService, Server, type PeerOptions } from 'sluice';

const server = Server.fromArgs();
const { peer, peers } = server.configuration as { peer: string; peers: PeerOptions[] };
const made = peers.map(({ ca, ...options }) => {
  const authorities = ca === undefined ? {} : { ca: server.readPem(ca) };
  return new HttpPeer(peer, { tls: true, ...options, ...authorities });
});

server.addService(
  httpProxyService({
    upstreamPeer: ({ request }) => made[Number(request.target.slice(1))]!,
  }).addTcp('127.0.0.1:0'),
);
await server.run();

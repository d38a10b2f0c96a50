/** A program that asks itself before it answers: `/outer` waits for `/inner`, `/later` does not. */
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { peer } = server.configuration as { peer: string };
const origin = new HttpPeer(peer);

server.addService(
  httpProxyService({
    async requestFilter(session) {
      if (session.request.target === '/outer') return session.subrequest({ path: '/inner' });
      if (session.request.target !== '/later') return undefined;
      session.subrequestInBackground({ path: '/inner' });
      return session.respond({ status: 202 });
    },
    upstreamPeer: () => origin,
  }).addTcp('127.0.0.1:0'),
);
await server.run();

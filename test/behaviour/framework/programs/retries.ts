/** Programs whose requests are sent again: because of a status, because a phase asks, and not at all. */
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const server = Server.fromArgs();
const { peer, closed } = server.configuration as { peer: string; closed: string };
/** Nothing is pooled: a failure on a pooled connection would be another matter. */
const good = new HttpPeer(peer, { idleTimeoutMs: 0 });
const bad = new HttpPeer(closed);

const asking: ProxyHttp = {
  upstreamPeer: () => good,
  errorWhileProxy: (session) => (session.request.headers.has('x-again') ? 'retry' : undefined),
  upstreamResponseFilter: (_session, response) =>
    response.headers.get('x-again') === undefined ? undefined : 'retry',
};

server.addService(
  httpProxyService(asking, { name: 'asking', retry: { statuses: [503] } }).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService(
    { upstreamPeer: () => good },
    { name: 'thrifty', retry: { statuses: [503], minConcurrent: 1, budgetPercent: 0 } },
  ).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService(
    { upstreamPeer: () => bad, failToConnect: () => 'give-up' },
    { name: 'giving-up' },
  ).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService({ upstreamPeer: () => bad }, { name: 'dead' }).addTcp('127.0.0.1:0'),
);
await server.run();

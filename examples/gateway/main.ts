/** A gateway: who may come in, which origin a path belongs to, and how often that went well. */
import { HttpPeer, httpProxyService, metrics, prometheusService, Server } from 'sluice';
import type { ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188', METRICS = '127.0.0.1:9190' } = process.env;
const { ORIGINS = '127.0.0.1:9101,127.0.0.1:9102' } = process.env;

const [main = '', family = ''] = ORIGINS.split(',');
const peers = { main: new HttpPeer(main), family: new HttpPeer(family) };

// A closed set, whatever clients do.
const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;
const requests = metrics.counter({
  name: 'gateway_requests_total',
  help: 'Requests, by the class of the status.',
  labels: { status: CLASSES },
});

const proxy: ProxyHttp = {
  requestFilter(session) {
    const { headers, target } = session.request;
    const isLogin = target.startsWith('/login');
    if (isLogin && headers.get('authorization') !== 'password') return session.respondError(403);
    return undefined;
  },

  upstreamPeer: ({ request }) =>
    request.target.startsWith('/family/') ? peers.family : peers.main,

  responseFilter({ peer }, { headers }) {
    headers.set('server', 'MyGateway').set('x-served-by', peer!.address);
    headers.delete('alt-svc'); // what the origin offers beside HTTP/1.1 is not offered here
  },

  logging({ log, status, peer, elapsedMs }) {
    requests.with({ status: CLASSES[Math.floor(status / 100)]! }).add();
    const elapsed = `${elapsedMs.toFixed(1)}ms`;
    log.info({}, `status=${status} peer=${peer?.address ?? '-'} elapsed=${elapsed}`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
server.addService(prometheusService(METRICS));
await server.run();

/** The smallest proxy that is of use: every request goes to one origin, and a line says how it went. */
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;

const origin = new HttpPeer(ORIGIN);

const proxy: ProxyHttp = {
  upstreamPeer: () => origin,
  responseFilter(_session, response) {
    response.headers.set('server', 'MyGateway').delete('x-powered-by');
  },
  logging({ log, status, elapsedMs }) {
    log.info({}, `status=${status} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const server = Server.fromArgs(); // -c FILE, -t, --threads N, --help
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

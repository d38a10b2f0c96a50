/** TLS on both sides: clients are served over it, and the origin is verified by an authority of our own. */
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6443', CERT = 'cert.pem', KEY = 'key.pem' } = process.env;
const { ORIGIN = '127.0.0.1:9443', ORIGIN_NAME = 'origin.test', CA = 'ca.pem' } = process.env;

const server = Server.fromArgs();

// Its certificate must be for this name, and this authority must vouch for it: else a 502.
const origin = new HttpPeer(ORIGIN, { tls: true, sni: ORIGIN_NAME, ca: server.readPem(CA) });

const proxy: ProxyHttp = {
  upstreamPeer: () => origin,
  responseFilter({ tls }, response) {
    response.headers.set('x-client-tls', tls?.version ?? 'none');
    response.headers.set('strict-transport-security', 'max-age=31536000');
  },
  logging({ log, status, tls, elapsedMs }, error) {
    const elapsed = `${elapsedMs.toFixed(1)}ms`;
    log.info({}, `status=${status} tls=${tls?.version} error=${error?.code} elapsed=${elapsed}`);
  },
};

// Both files are read and checked before anything starts, and handed to the workers.
server.addService(httpProxyService(proxy).addTls(LISTEN, { cert: CERT, key: KEY }));
await server.run();

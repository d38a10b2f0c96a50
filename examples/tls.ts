/** TLS on both sides: clients are served over it, and the peer is verified by an authority of our own. */
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const server = Server.fromArgs(); // -c FILE, -t, --threads N, --help
const settings = server.configuration as Readonly<Record<string, string | undefined>>;
const { listen = '127.0.0.1:6443', cert = 'cert.pem', key = 'key.pem' } = settings;
const { origin = '127.0.0.1:9443', origin_name: sni = 'origin.test', ca = 'ca.pem' } = settings;

// Its certificate must be for this name, and this authority must vouch for it: else a 502.
const peer = new HttpPeer(origin, { tls: true, sni, ca: server.readPem(ca) });

const proxy: ProxyHttp = {
  upstreamPeer: () => peer,
  responseFilter(session, response) {
    response.headers.set('x-client-tls', session.tls?.version ?? 'none');
  },
  logging(session, error) {
    const { status, tls } = session;
    session.log.info({ status, tls, code: error?.code }, 'answered');
  },
};

// Both files are read and checked before anything starts, and handed to the workers.
server.addService(httpProxyService(proxy, { name: 'edge' }).addTls(listen, { cert, key }));
await server.run();

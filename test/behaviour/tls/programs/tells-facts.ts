/** A program on the framework that answers with what it knows of its client's connection. */
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { cert, key } = server.configuration as { cert: string; key: string };
const nobody = new HttpPeer('127.0.0.1:1');

server.addService(
  httpProxyService({
    requestFilter(session) {
      const { scheme, tls } = session;
      return session.respondJson(200, { scheme, tls });
    },
    upstreamPeer: () => nobody,
  })
    .addTls('127.0.0.1:0', { cert, key })
    .addTcp('127.0.0.1:0'),
);
await server.run();

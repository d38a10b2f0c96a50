/** Turns clients away by their address, before a byte of theirs is read and before TLS. */
import { BlockList } from 'node:net';
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;
const { BLOCKED = '127.0.0.2/32,198.51.100.0/24' } = process.env;

const blocked = new BlockList();
for (const range of BLOCKED.split(',')) {
  const [network = '', bits] = range.split('/');
  blocked.addSubnet(network, Number(bits));
}

const origin = new HttpPeer(ORIGIN);

const proxy: ProxyHttp = {
  connectionFilter: ({ client }) => (blocked.check(client.address) ? 'refuse' : undefined),
  upstreamPeer: () => origin,
  logging({ log, status, clientIp, elapsedMs }) {
    log.info({}, `status=${status} client=${clientIp} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

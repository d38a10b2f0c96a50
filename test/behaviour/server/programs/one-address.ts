/** A program whose two services want the addresses that its file names. */
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { one, two } = server.configuration as { one: string; two: string };
const peer = new HttpPeer('127.0.0.1:1');

for (const [name, address] of Object.entries({ one, two })) {
  server.addService(httpProxyService({ upstreamPeer: () => peer }, { name }).addTcp(address));
}
await server.run();

/** A program whose start lasts until a signal ends it, or fails as its file says. */
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { fault } = server.configuration as { fault: string };
const peer = new HttpPeer('127.0.0.1:1');
server.addService(httpProxyService({ upstreamPeer: () => peer }).addTcp('127.0.0.1:0'));
server.onStart(async () => {
  if (fault === 'throws') throw new Error('the registry of services said no');
  // Nobody catches this one.
  if (fault === 'uncaught') setImmediate(() => nobodyCatches());
  if (fault === 'exits') process.exit(7);
  await new Promise(() => {});
});
await server.run();

function nobodyCatches(): never {
  throw new Error('made for the test');
}

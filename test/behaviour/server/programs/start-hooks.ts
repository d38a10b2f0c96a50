/** A program with something to do once, when it serves; its file says whether that goes well. */
import process from 'node:process';
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { outcome } = server.configuration as { outcome: 'banner' | 'throws' | 'never' };
const peer = new HttpPeer('127.0.0.1:1');

server.addService(httpProxyService({ upstreamPeer: () => peer }).addTcp('127.0.0.1:0'));
server.onStart(({ addresses }) => {
  process.stdout.write(`banner of ${process.pid}: ${JSON.stringify(addresses)}\n`);
});
server.onStart(async () => {
  await Promise.resolve();
  if (outcome === 'throws') throw new Error('the registry of services said no');
  if (outcome === 'never') await new Promise(() => {});
});
await server.run();

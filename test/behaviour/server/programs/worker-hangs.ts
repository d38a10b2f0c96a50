/** A program whose workers never get as far as to be ready. */
import cluster from 'node:cluster';
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const peer = new HttpPeer('127.0.0.1:1');
server.addService(httpProxyService({ upstreamPeer: () => peer }).addTcp('127.0.0.1:0'));
if (cluster.isWorker) {
  process.stderr.write(`${JSON.stringify({ msg: 'hanging', pid: process.pid })}\n`);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}
await server.run();

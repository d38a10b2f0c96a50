/**
 * A supervisor that is killed as its hand-off enters a state: it has said so in the log, and done nothing of it. With
 * `diesAt: pid file` it is killed when that names it, which nobody has been told yet.
 */
import cluster from 'node:cluster';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Answer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { diesAt, text } = server.configuration as { diesAt?: string; text: string };

if (cluster.isPrimary && diesAt !== undefined) {
  const write = fs.writeSync.bind(fs) as (...args: unknown[]) => number;
  const watched = (...args: unknown[]) => {
    const written = write(...args);
    if (String(args[1]).includes(`"state":"${diesAt}","msg":"hand-off"`))
      process.kill(process.pid, 'SIGKILL');
    return written;
  };
  fs.writeSync = watched;
}
if (cluster.isPrimary && diesAt === 'pid file') {
  const rename = fs.renameSync.bind(fs);
  fs.renameSync = (from, to) => {
    rename(from, to);
    if (String(to).endsWith('.pid')) process.kill(process.pid, 'SIGKILL');
  };
  syncBuiltinESMExports();
}

const service = httpProxyService({
  requestFilter: () => new Answer({ status: 200, body: text }),
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();

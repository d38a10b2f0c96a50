/** A service that speaks no HTTP: whatever a client sends comes back, and the log says how much it was. */
import { Server, tcpService } from 'sluice';

const { LISTEN = '127.0.0.1:6142' } = process.env;

const server = Server.fromArgs();
server.addService(
  tcpService(
    (stream, { log }) => {
      let bytes = 0;
      stream.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      stream.on('close', () => log.info({ bytes }, 'echoed'));
      stream.pipe(stream);
    },
    { name: 'echo', idleTimeoutMs: 60_000, maxConnectionsPerClient: 100 },
  ).addTcp(LISTEN),
);
server.onStart(({ addresses }) => {
  process.stdout.write(`echo: ${JSON.stringify(addresses)}\n`);
});
await server.run();

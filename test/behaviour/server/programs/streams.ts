/** A program with a TCP service: the first line that a client sends says what becomes of it. */
import { createInterface } from 'node:readline';
import { Server, tcpService } from 'sluice';

interface Own {
  readonly unix?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly limits?: { maxConnections?: number; maxConnectionsPerClient?: number };
  readonly idleTimeoutMs?: number;
  readonly misspelt?: object;
}

const server = Server.fromArgs();
const { unix, cert, key, limits, idleTimeoutMs, misspelt } = server.configuration as Own;

const service = tcpService(
  async (stream, { client, tls, signal, log }) => {
    signal.addEventListener('abort', () => {
      stream.write('the worker drains\n');
    });
    const [line = ''] = await new Promise<string[]>((resolve) => {
      createInterface({ input: stream }).once('line', (first) => resolve([first]));
    });
    if (line === 'throw') throw new Error('made for the test');
    if (line === 'who') stream.write(`${client.address} ${tls?.version ?? 'plain'}\n`);
    if (line === 'large') stream.write(Buffer.alloc(8 * 1024 * 1024, 'x'));
    if (line === 'bye') stream.end('bye\n');
    log.info({ line }, 'first line');
  },
  { ...limits, ...(idleTimeoutMs !== undefined && { idleTimeoutMs }), ...misspelt },
).addTcp('127.0.0.1:0');
if (unix !== undefined) service.addUnix(unix);
if (cert !== undefined && key !== undefined) service.addTls('127.0.0.1:0', { cert, key });
server.addService(service);
await server.run();

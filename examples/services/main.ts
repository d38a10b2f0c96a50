/** More than a proxy: an echo over TCP, a plain HTTP service, a task in the background, and figures. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backgroundService, httpService, metrics, prometheusService } from 'sluice';
import { Server, tcpService } from 'sluice';

const { LISTEN = '127.0.0.1:6188', ECHO = '127.0.0.1:6142' } = process.env;
const { METRICS = '127.0.0.1:9190' } = process.env;

const beats = metrics.counter({ name: 'heartbeats_total', help: 'Beats of the background task.' });

// A stream of Node's for each connection; it is over when both sides have ended.
const echo = tcpService((stream) => stream.pipe(stream), { name: 'echo' });

const hello = httpService(
  async (session) => {
    if (session.request.method !== 'POST') return session.respondJson(200, { hello: 'world' });
    const body = await session.readBody({ limit: 64 * 1024 }); // longer is a 413
    return session.respond({ status: 200, body });
  },
  { name: 'hello' },
);

// In one worker of the host, and in another one when that ends.
const heart = backgroundService('heart', async ({ signal, log, ready }) => {
  ready(); // lets services begin that depend on this one
  while (!signal.aborted) {
    beats.add();
    log.debug({}, 'beat');
    await sleep(1_000, undefined, { signal }).catch(() => {});
  }
});

const server = Server.fromArgs();
server.addService(hello.addTcp(LISTEN).dependsOn(heart));
server.addService(echo.addTcp(ECHO));
server.addService(heart);
server.addService(prometheusService(METRICS));
await server.run();

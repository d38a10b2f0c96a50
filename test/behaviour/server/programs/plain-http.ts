/** A program without a proxy: a plain HTTP service, and the figures on an address of their own. */
import { httpService, metrics, prometheusService, Server } from 'sluice';

const greeted = metrics.counter({ name: 'hello_greeted_total', help: 'Who was greeted.' });

const server = Server.fromArgs();
server.addService(
  httpService(async (session) => {
    const { method, target } = session.request;
    if (target === '/hello') {
      greeted.add();
      return session.respondJson(200, { hello: session.clientIp });
    }
    if (target === '/echo' && method === 'POST') {
      const body = await session.readBody({ limit: 1_000 });
      return session.respond({ status: 200, body });
    }
    if (target === '/count') {
      return session.respond({ status: 200, body: pieces() });
    }
    if (target === '/throw') throw new TypeError('made for the test');
    return undefined;
  }).addTcp('127.0.0.1:0'),
);
server.addService(prometheusService('127.0.0.1:0'));
await server.run();

async function* pieces() {
  for (let number = 1; number <= 3; number++) {
    await Promise.resolve();
    yield `${number} `;
  }
}

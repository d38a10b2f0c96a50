/** An origin that cannot be connected to is tried again, after longer and longer pauses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;
const FIRST_PAUSE_MS = 100;

// Short, or an attempt would take longer than all pauses together.
const origin = new HttpPeer(ORIGIN, { connectTimeoutMs: 500, readTimeoutMs: 5_000 });

const proxy: ProxyHttp = {
  async upstreamPeer({ attempts }) {
    // 100, 200, 400 and 800 ms, or up to half of it less: many requests must not come back together.
    const pauseMs = FIRST_PAUSE_MS * 2 ** (attempts - 2);
    if (attempts > 1) await sleep(pauseMs * (1 - Math.random() / 2));
    return origin;
  },

  // Returning nothing, it leaves the decision to max_retries; 'give-up' would end it here.
  failToConnect({ log, attempts }, { code }) {
    log.info({ attempts, code }, 'no connection yet');
  },

  logging({ log, status, attempts, elapsedMs }) {
    log.info({}, `status=${status} attempts=${attempts} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

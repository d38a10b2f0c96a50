/** A program that uses what a session offers: bodies, streamed answers, timeouts, facts about the connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpPeer, httpProxyService, Server, type Session } from 'sluice';

const server = Server.fromArgs();
const { peer, closed } = server.configuration as { peer: string; closed: string };
const good = new HttpPeer(peer);
const bad = new HttpPeer(closed);

async function* pieces(session: Session, upTo: number) {
  try {
    for (let n = 1; n <= upTo; n++) {
      yield n % 2 === 0 ? `piece ${n}\n` : Buffer.from(`piece ${n}\n`);
    }
  } finally {
    session.log.info({}, 'the pieces have ended');
  }
}

async function* broken() {
  yield 'a beginning\n';
  await Promise.resolve();
  throw new RangeError('made for the test');
}

async function answerTo(session: Session) {
  const { method, target } = session.request;
  switch (target) {
    case '/read':
      return session.respond({ status: 200, body: await session.readBody({ limit: 10 }) });
    case '/read-and-send':
      await session.readBody({ limit: 10 });
      return undefined;
    case '/buffer':
    case '/buffer/again': {
      const body = await session.bufferBody({ limit: 10 });
      session.request.headers.set('x-read', body.toString());
      return undefined;
    }
    case '/slow-body':
      session.setTimeouts({ requestBodyMs: 150 });
      return session.respond({ status: 200, body: await session.readBody({ limit: 10 }) });
    case '/patient-body':
      return session.respond({ status: 200, body: await session.readBody({ limit: 10 }) });
    case '/short-phase':
      await sleep(10_000);
      return undefined;
    case '/pieces':
      return session.respond({ status: 200, body: pieces(session, method === 'GET' ? 5 : 1) });
    case '/pieces/promised': {
      const headers = { 'content-length': '16' };
      return session.respond({ status: 200, headers, body: pieces(session, 2) });
    }
    case '/pieces/for-ever':
      return session.respond({ status: 200, body: pieces(session, Number.POSITIVE_INFINITY) });
    case '/pieces/broken':
      return session.respond({ status: 200, body: broken() });
    case '/last':
      session.setKeepAlive(false);
      return session.respond({ status: 204 });
    case '/facts': {
      const { client, server: listener, isShuttingDown, scheme } = session;
      return session.respondJson(200, { client, listener, isShuttingDown, scheme });
    }
    default:
      return undefined;
  }
}

server.addService(
  httpProxyService({
    earlyRequestFilter(session) {
      const { target } = session.request;
      if (target === '/patient-body' || target === '/short-phase') {
        session.setTimeouts({ phaseMs: 150 });
      }
      if (target === '/short-answer') session.setTimeouts({ requestMs: 150 });
    },
    requestFilter: answerTo,
    upstreamPeer: ({ request: { target }, attempts }) =>
      target === '/buffer/again' && attempts === 1 ? bad : good,
    responseFilter(session, { headers }) {
      headers.set('x-draining', String(session.isShuttingDown));
    },
  }).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService(
    {
      responseFilterFor: 'all-answers',
      requestFilter: (session) =>
        session.request.target === '/own' ? session.respond({ status: 200 }) : undefined,
      upstreamPeer: () => bad,
      responseFilter(session, { headers }) {
        if (session.request.headers.has('x-throw')) throw new Error('made for the test');
        headers.set('x-filtered', 'yes');
      },
      failToProxy: (session) =>
        session.request.target === '/page' ? session.respondError(418) : undefined,
    },
    { name: 'all-answers' },
  ).addTcp('127.0.0.1:0'),
);
server.addService(
  httpProxyService(
    {
      connectionFilter(connection) {
        if (connection.client.address === '127.0.0.3') throw new Error('made for the test');
        return connection.client.address === '127.0.0.2' ? 'refuse' : undefined;
      },
      upstreamPeer: () => good,
    },
    { name: 'choosy' },
  ).addTcp('127.0.0.1:0'),
);
await server.run();

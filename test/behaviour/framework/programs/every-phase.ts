/**
 * A program with every phase, each of which notes that it ran. What a request
 * asks for in its path happens: `/throw/PHASE`, `/hang/PHASE`, `/late/…` (every
 * phase returns a promise).
 */
import { HttpPeer, httpProxyService, Server, type ProxyHttp, type Session } from 'sluice';

interface Context {
  readonly trail: string[];
}

const server = Server.fromArgs();
const { peer, closed } = server.configuration as { peer: string; closed: string };
const good = new HttpPeer(peer);
const bad = new HttpPeer(closed);
let connections = 0;

/** For phases that may wait; the value, if any, is what the phase says in the end. */
function at(phase: string, session: Session<Context>, detail = ''): Promise<undefined> | undefined {
  note(phase, session, detail);
  if (session.request.target.endsWith(`/hang/${phase}`)) return new Promise(() => {});
  return session.request.target.startsWith('/late/') ? Promise.resolve(undefined) : undefined;
}

function note(phase: string, session: Session<Context>, detail = ''): void {
  session.ctx.trail.push(phase + detail);
  if (session.request.target.endsWith(`/throw/${phase}`)) throw new TypeError(`made in ${phase}`);
}

function piece(phase: string, session: Session<Context>, endOfBody: boolean) {
  return at(phase, session, endOfBody ? ':end' : '');
}

function peerFor({ request: { target }, attempts }: Session<Context>): HttpPeer {
  const isFailing = target.startsWith('/refused') || (target.endsWith('/again') && attempts === 1);
  return isFailing ? bad : good;
}

const proxy: ProxyHttp<Context> = {
  connectionFilter() {
    connections += 1;
  },
  newCtx: () => ({ trail: ['newCtx'] }),
  onConnectionReuse: (session, kept) => note('onConnectionReuse', session, `(${String(kept)})`),
  earlyRequestFilter: (session) => at('earlyRequestFilter', session),
  requestFilter(session) {
    const done = at('requestFilter', session);
    if (session.request.target !== '/own') return done;
    return session.respondJson(200, { connections });
  },
  proxyUpstreamFilter: (session) => at('proxyUpstreamFilter', session),
  upstreamPeer(session) {
    const pending = at('upstreamPeer', session);
    return pending === undefined ? peerFor(session) : pending.then(() => peerFor(session));
  },
  failToConnect: (session, error) => at('failToConnect', session, `(${error.code})`),
  connectedToUpstream: (session) => at('connectedToUpstream', session),
  upstreamRequestFilter: (session) => at('upstreamRequestFilter', session),
  requestBodyFilter: (session, _piece, endOfBody) => piece('requestBodyFilter', session, endOfBody),
  errorWhileProxy: (session, error) => at('errorWhileProxy', session, `(${error.code})`),
  upstreamResponseFilter: (session) => at('upstreamResponseFilter', session),
  responseFilter: (session) => at('responseFilter', session),
  upstreamResponseBodyFilter: (session, _piece, endOfBody) =>
    piece('upstreamResponseBodyFilter', session, endOfBody),
  upstreamResponseTrailerFilter: (session) => at('upstreamResponseTrailerFilter', session),
  responseBodyFilter: (session, _piece, endOfBody) =>
    piece('responseBodyFilter', session, endOfBody),
  responseTrailerFilter: (session) => at('responseTrailerFilter', session),
  failToProxy(session, error) {
    const pending = at('failToProxy', session);
    return pending ?? session.respondJson(error.facts.status, { code: error.code });
  },
  suppressErrorLog: (session) => session.request.headers.has('x-quiet'),
  requestSummary: ({ request, requestId }) => `${request.method || 'nothing'} as ${requestId}`,
  persistConnectionContext(session) {
    note('persistConnectionContext', session);
    return session.request.headers.get('x-keep');
  },
  logging(session, error) {
    const { ctx, status } = session;
    const fields = { target: session.originalTarget, trail: ctx.trail, status };
    session.log.info({ ...fields, code: error?.code }, 'ended');
    return at('logging', session);
  },
};

server.addService(httpProxyService(proxy, { phaseTimeoutMs: 200 }).addTcp('127.0.0.1:0'));
await server.run();

/**
 * Every phase, each of which notes that it ran. What a request asks for in its
 * path happens: `/throw/PHASE`, `/hang/PHASE`, `/late/…` (every phase returns a
 * promise), `/refused…` (no peer can be connected to).
 */
import type { HttpPeer, ProxyHttp, Session } from 'sluice';

interface Context {
  readonly trail: string[];
}

/** @param bad nothing can connect to it */
export function everyPhase(good: HttpPeer, bad: HttpPeer): ProxyHttp<Context> {
  let connections = 0;
  const peerFor = (session: Session<Context>) => (mustFail(session) ? bad : good);
  return {
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
    requestBodyFilter: (session, _piece, endOfBody) =>
      piece('requestBodyFilter', session, endOfBody),
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
}

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

function mustFail({ request: { target }, attempts }: Session<Context>): boolean {
  return target.startsWith('/refused') || (target.endsWith('/again') && attempts === 1);
}

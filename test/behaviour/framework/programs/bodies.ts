/** A program whose phases look at bodies and change them, as the query of a request asks for. */
import { HttpPeer, httpProxyService, Server, type BodyOutcome, type Session } from 'sluice';

const server = Server.fromArgs();
const { peer } = server.configuration as { peer: string };
const upstream = new HttpPeer(peer);

/** What `how` makes of a piece; the end says so, where a body grows. */
function change(how: string | null, piece: Buffer, endOfBody: boolean): BodyOutcome {
  switch (how) {
    case 'shout':
      return piece.toString().toUpperCase();
    case 'grow':
      return endOfBody ? ' and more' : undefined;
    case 'drop':
      return endOfBody ? 'nothing left' : Buffer.alloc(0);
    default:
      return undefined;
  }
}

function wish(session: Session, name: string): string | null {
  return new URL(session.request.target, 'http://a').searchParams.get(name);
}

server.addService(
  httpProxyService({
    upstreamPeer: () => upstream,
    upstreamRequestFilter(session, { headers }) {
      const length = wish(session, 'up-length');
      if (length !== null) headers.set('content-length', length);
    },
    requestBodyFilter(session, piece, endOfBody) {
      const changed = change(wish(session, 'up'), piece, endOfBody);
      if (wish(session, 'late') === null) return changed;
      return new Promise((resolve) => setImmediate(() => resolve(changed)));
    },
    responseFilter(session, { headers }) {
      const length = wish(session, 'down-length');
      if (length !== null) headers.set('content-length', length);
    },
    upstreamResponseBodyFilter: (session, piece, endOfBody) =>
      endOfBody ? undefined : change(wish(session, 'first'), piece, endOfBody),
    responseBodyFilter(session, piece, endOfBody) {
      const changed = change(wish(session, 'down'), piece, endOfBody);
      if (wish(session, 'late') === null) return changed;
      return new Promise((resolve) => setImmediate(() => resolve(changed)));
    },
    responseTrailerFilter(_session, trailers) {
      trailers.set('x-seen', 'yes');
    },
  }).addTcp('127.0.0.1:0'),
);
await server.run();

/** Makes YAML of the JSON that an origin answers with. */
import { HttpPeer, httpProxyService, Server, type ProxyHttp } from 'sluice';
import { stringify } from 'yaml';

interface Ctx {
  /** Of a body that is to become YAML, so far. */
  pieces: Buffer[] | undefined;
  length: number;
}

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;
const MAX_LENGTH = 1024 * 1024; // more than that is not worth the memory it takes

const origin = new HttpPeer(ORIGIN);

const proxy: ProxyHttp<Ctx> = {
  newCtx: () => ({ pieces: undefined, length: 0 }),

  upstreamPeer: () => origin,

  // What is compressed could not be read here.
  upstreamRequestFilter: (_session, request) => void request.headers.delete('accept-encoding'),

  responseFilter({ ctx }, response) {
    if (!response.headers.get('content-type')?.startsWith('application/json')) return;
    // The length went with the body phase: nobody knows yet how long the YAML will be.
    response.headers.set('content-type', 'application/yaml');
    ctx.pieces = [];
  },

  responseBodyFilter({ ctx }, piece, endOfBody) {
    if (ctx.pieces === undefined) return undefined;
    ctx.length += piece.length;
    if (ctx.length > MAX_LENGTH) throw new Error(`JSON of more than ${MAX_LENGTH} bytes`);
    ctx.pieces.push(piece);
    if (!endOfBody) return ''; // holds it back
    return stringify(JSON.parse(Buffer.concat(ctx.pieces).toString()));
  },

  logging({ log, status, ctx, elapsedMs }) {
    log.info({}, `status=${status} bytes=${ctx.length} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

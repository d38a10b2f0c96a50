/** Steps in front of a proxy, each by itself: a key is asked for, headers are cleaned, a line is logged. */
import { HttpPeer, httpProxyService, Server, withFilters } from 'sluice';
import type { Filter, ProxyHttp } from 'sluice';

interface Ctx {
  /** Whose key it was; a key itself has no business in a log. */
  owner: string | undefined;
}

const { LISTEN = '127.0.0.1:6188', ORIGIN = '127.0.0.1:9101' } = process.env;
const { API_KEY = 'secret123' } = process.env;

const owners = new Map([[API_KEY, 'demo']]);
const origin = new HttpPeer(ORIGIN);

const apiKey: Filter<Ctx> = {
  name: 'api-key',
  requestFilter(session) {
    session.ctx.owner = owners.get(session.request.headers.get('x-api-key') ?? '');
    return session.ctx.owner === undefined ? session.respondError(401) : undefined;
  },
  upstreamRequestFilter({ ctx }, request) {
    request.headers.delete('x-api-key').set('x-key-owner', ctx.owner!);
  },
};

const cleanHeaders: Filter<Ctx> = {
  name: 'clean-headers',
  responseFilter(_session, { headers }) {
    headers.delete('x-powered-by').set('server', 'MyGateway');
    headers.set('x-content-type-options', 'nosniff');
  },
};

const accessLine: Filter<Ctx> = {
  name: 'access-line',
  logging({ log, status, ctx, elapsedMs }) {
    log.info({}, `status=${status} key=${ctx.owner ?? '-'} elapsed=${elapsedMs.toFixed(1)}ms`);
  },
};

const proxy: ProxyHttp<Ctx> = {
  newCtx: () => ({ owner: undefined }),
  upstreamPeer: () => origin,
};

const server = Server.fromArgs();
const filtered = withFilters([apiKey, cleanHeaders, accessLine], proxy);
server.addService(httpProxyService(filtered).addTcp(LISTEN));
await server.run();

/** Asks who the client is before each request, and tells an auditor after it: in requests of its own. */
import { dispatch, HttpPeer, httpProxyService, Server, withFilters } from 'sluice';
import type { Filter, ProxyHttp } from 'sluice';

const { LISTEN = '127.0.0.1:6188', ORIGINS = '127.0.0.1:9101,127.0.0.1:9102' } = process.env;
const [origin, auditor] = ORIGINS.split(',').map((address) => new HttpPeer(address));

const guarded: ProxyHttp = {
  async requestFilter(session) {
    const { headers } = session.request;
    const authorization = headers.get('authorization') ?? '';
    const answer = await session.subrequest({ path: '/who', headers: { authorization } });
    if (answer.status !== 200) return session.respondError(401);
    headers.set('x-user', String(await answer.readBody({ limit: 100 })));
    return undefined;
  },

  upstreamPeer: () => origin!,

  logging(session) {
    const { request, status } = session;
    const body = `${request.headers.get('x-user')} ${status} ${request.target}`;
    session.subrequestInBackground({ method: 'POST', path: '/audit', body });
  },
};

/** Stands in for a service that knows all users. */
const users: ProxyHttp = {
  requestFilter(session) {
    const isKnown = session.request.headers.get('authorization') === 'Bearer secret123';
    return isKnown ? session.respond({ status: 200, body: 'ada' }) : session.respondError(404);
  },
  upstreamPeer: () => origin!,
};

const onlyFromInside: Filter = {
  name: 'only from inside',
  requestFilter: (session) => (session.parent ? undefined : session.respondError(404)),
};

const proxy = dispatch([
  { match: { path: '/who' }, proxy: withFilters([onlyFromInside], users) },
  {
    match: { path: '/audit' },
    proxy: withFilters([onlyFromInside], { upstreamPeer: () => auditor! }),
  },
  { proxy: guarded },
]);

const server = Server.fromArgs();
server.addService(httpProxyService(proxy).addTcp(LISTEN));
await server.run();

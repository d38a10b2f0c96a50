/** Whose request it is, as a configuration says: for what treats the requests of one alike. */
import type { RequestKey } from '../../shared/config/kinds.ts';
import { cookieOf } from '../http/cookie.ts';
import type { Session } from '../proxy/session.ts';

export type KeyOf = (session: Session) => string;

/** Where the request has no such header or cookie, its client's address stands for it. */
export function requestKey(key: RequestKey): KeyOf {
  switch (key.kind) {
    case 'client_ip':
      return (session) => session.clientIp;
    case 'host':
      return ({ request, clientIp }) => request.headers.get('host')?.toLowerCase() ?? clientIp;
    case 'path':
      return ({ request }) => request.target.split('?', 1)[0]!;
    case 'uri':
      return ({ request }) => request.target;
    case 'header':
      return ({ request, clientIp }) => request.headers.get(key.name) ?? clientIp;
    case 'cookie':
      return ({ request, clientIp }) => cookieOf(request.headers, key.name) ?? clientIp;
  }
}

/** A plain HTTP application: the engine of the proxy, and no peers. */
import type { Answer } from '../worker/proxy/answer.ts';
import { isPending, type Awaitable, type RequestOutcome } from '../worker/proxy/proxy-http.ts';
import type { Session } from '../worker/proxy/session.ts';
import {
  checkOptions,
  httpProxyService,
  type HttpProxyService,
  type ServiceOptions,
} from './service.ts';

/**
 * Answers a request with what `session.respond…` has made; returning nothing is a 404,
 * throwing a 500 and a line in the log.
 */
export type HttpHandler = (session: Session<undefined>) => Awaitable<RequestOutcome>;

/**
 * Makes a service of a handler; give it addresses and add it to a server. Its name is
 * `http` unless you say otherwise.
 *
 * @throws {TypeError} an option is unknown or makes no sense
 */
export function httpService(handler: HttpHandler, options: ServiceOptions = {}): HttpProxyService {
  checkOptions('httpService', options);
  return httpProxyService<undefined>(
    {
      requestFilter(session) {
        const outcome = handler(session);
        if (isPending(outcome)) return outcome.then((answer) => orNotFound(session, answer));
        return orNotFound(session, outcome);
      },
      upstreamPeer() {
        throw new Error('a plain HTTP service answers every request itself');
      },
    },
    { ...options, name: options.name ?? 'http' },
  );
}

function orNotFound(session: Session<undefined>, answer: RequestOutcome): Answer {
  return answer ?? session.respondError(404);
}

/**
 * Requests that a phase makes while it serves one: they run through all phases of
 * the same service, as if a client had sent them. Of those it waits for, none
 * outlives the request; the others go on by themselves (`background.ts`).
 */
import { refuseUnknown } from '../../shared/config/options.ts';
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Time } from '../../shared/time/time.ts';
import type { Exchange, SocketAddress } from '../http/exchange.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import { removeHopByHop } from '../http/hop-by-hop.ts';
import { headersFrom } from './answer.ts';
import type { BackgroundSubrequests } from './background-subrequests.ts';
import { BytesBody } from './bytes-body.ts';
import { PipedBody } from './piped-body.ts';
import { SubrequestAnswer } from './subrequest-answer.ts';
import { SubrequestExchange, type AnswerReceiver } from './subrequest-exchange.ts';

export interface SubrequestInit {
  /** Default `GET`. */
  readonly method?: string;
  /** Path and query: `/auth?from=edge`. */
  readonly path: string;
  /** Default: none but `Host`, as the request has it. Fields about the connection and the body are left out. */
  readonly headers?: Headers | Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For all of its answer. Default in the background 30,000 ms; else as long as the request lasts. */
  readonly timeoutMs?: number;
  /** For the phases of the subrequest: `session.parent.value`. */
  readonly value?: unknown;
}

const OPTIONS: Readonly<Record<keyof SubrequestInit, true>> = {
  method: true,
  path: true,
  headers: true,
  body: true,
  timeoutMs: true,
  value: true,
};

/** What subrequests need of the service that they are made in. */
export interface SubrequestHost {
  /** Runs a request. Never throws: it is answered or aborted, whatever happens. */
  readonly serve: (exchange: Exchange) => void;
  readonly background: BackgroundSubrequests;
  readonly time: Time;
}

/** What they need of the request that they are made for. */
export interface SubrequestMaker {
  readonly exchange: Exchange;
  readonly requestId: string;
  readonly clientIp: string;
}

/** Nesting deeper than this is a subrequest that makes itself again. */
const MAX_DEPTH = 5;
/** Of one request, whether it waits for them or not. */
const MAX_PER_REQUEST = 64;
const BACKGROUND_MS = 30_000;

export class Subrequests {
  readonly #of: SubrequestMaker;
  readonly #host: SubrequestHost;
  readonly #waitedFor = new Set<SubrequestExchange>();
  #made = 0;
  #client: SocketAddress | undefined;

  constructor(of: SubrequestMaker, host: SubrequestHost) {
    this.#of = of;
    this.#host = host;
  }

  ask(init: SubrequestInit): Promise<SubrequestAnswer> {
    return new Promise<SubrequestAnswer>((resolve, reject) => {
      let stopClock: (() => void) | undefined;
      let body: PipedBody | undefined;
      const exchange = this.#exchange(init, {
        bodySink() {
          const unwanted = () => exchange.abandon(noLongerWanted());
          body = new PipedBody(unwanted, () => cut(exchange));
          return body;
        },
        onHead: (head) => resolve(new SubrequestAnswer(head, body)),
        onCut: reject,
        onOver: () => {
          stopClock?.();
          this.#waitedFor.delete(exchange);
        },
      });
      const { timeoutMs } = init;
      if (timeoutMs !== undefined) {
        stopClock = this.#host.time.after(timeoutMs, () => exchange.abandon(tooLate(timeoutMs)));
      }
      this.#waitedFor.add(exchange);
      this.#watchClient();
      this.#host.serve(exchange);
    });
  }

  start(init: SubrequestInit): boolean {
    const { background, serve } = this.#host;
    const { timeoutMs = BACKGROUND_MS } = init;
    const make = (receiver: AnswerReceiver) => this.#exchange(init, receiver);
    const exchange = background.add(make, timeoutMs, tooLate(timeoutMs));
    if (exchange === undefined) return false;
    serve(exchange);
    return true;
  }

  /** The request has ended. */
  end(): void {
    for (const exchange of this.#waitedFor) exchange.abandon(noLongerWanted());
  }

  #exchange(init: SubrequestInit, receiver: AnswerReceiver): SubrequestExchange {
    const { exchange, requestId } = this.#of;
    const depth = (exchange.parent?.depth ?? 0) + 1;
    this.#made += 1;
    const { method = 'GET', path, body, value } = init;
    if (depth > MAX_DEPTH) throw tooMany(`nested at most ${MAX_DEPTH} deep`, method, path);
    if (this.#made > MAX_PER_REQUEST)
      throw tooMany(`at most ${MAX_PER_REQUEST} of one request`, method, path);
    const request = requestFrom(init, exchange.request.authority);
    const requestBody = body === undefined ? undefined : new BytesBody(Buffer.from(body as string));
    const parent = { requestId, depth, value };
    const client = this.#clientOf(exchange);
    return new SubrequestExchange({ request, requestBody, parent, client, of: exchange }, receiver);
  }

  /** Behind a trusted proxy, the client that it vouches for: the subrequest has no fields that say so. */
  #clientOf({ client }: Exchange): SocketAddress {
    const { clientIp } = this.#of;
    this.#client ??= client.address === clientIp ? client : { address: clientIp, port: 0 };
    return this.#client;
  }

  /** Until the request is sent to a peer, nobody else does. */
  #watchClient(): void {
    const { exchange } = this.#of;
    exchange.abortListener ??= {
      onAborted: (error) => {
        for (const each of this.#waitedFor) each.abandon(error);
      },
    };
  }
}

function requestFrom(init: SubrequestInit, parentAuthority: string): RequestHead {
  refuseUnknown('subrequest', init, OPTIONS);
  const { method = 'GET', path, headers: given = {} } = init;
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) {
    throw new TypeError(`subrequest: expected a method, got ${JSON.stringify(method)}`);
  }
  // Whatever else is wrong with a path, `normalizePath` finds it.
  if (!/^\/[!-~]*$/.test(path) || path.includes('#')) {
    throw new TypeError(`subrequest: expected a path such as "/auth", got ${JSON.stringify(path)}`);
  }
  const headers = headersFrom(given);
  removeHopByHop(headers);
  for (const name of ['content-length', 'expect']) headers.delete(name);
  if (!headers.has('host') && parentAuthority !== '') headers.set('Host', parentAuthority);
  const authority = headers.get('host') ?? '';
  return { method, target: path, version: '1.1', authority, headers };
}

function tooMany(bound: string, method: string, path: string): ProxyError {
  const detail = `expected subrequests ${bound}, got one more: ${method} ${path}`;
  return new ProxyError('internal/subrequest-limit', detail);
}

function tooLate(ms: number): ProxyError {
  return new ProxyError('internal/subrequest-timeout', `not complete within ${ms} ms`);
}

function noLongerWanted(): ProxyError {
  return new ProxyError('downstream/closed', 'nobody waits for the subrequest any more');
}

function cut({ request: { method, target } }: SubrequestExchange): ProxyError {
  const detail = `${method} ${target} was cut; the line about it says why`;
  return new ProxyError('internal/subrequest-failed', detail);
}

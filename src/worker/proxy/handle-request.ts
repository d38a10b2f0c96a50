/**
 * The life of a request, top to bottom: each step answers or passes on to the
 * next. Nothing in this file can tell HTTP/1 from HTTP/2.
 *
 * `await` stands only behind a test for a promise: a phase that answers at once
 * must not cost a turn of the microtask queue.
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { Exchange } from '../http/exchange.ts';
import { removeHopByHop } from '../http/hop-by-hop.ts';
import type { ResponseHead } from '../http/message.ts';
import { setForwarded } from '../http/forwarded.ts';
import type { UpstreamConnection, UpstreamResponse } from '../upstream/http1-connection.ts';
import { Answer } from './answer.ts';
import { refuseMethod } from './methods.ts';
import type { ProxyService } from './proxy-service.ts';
import type { Session } from './session.ts';
import { asProxyError } from './session.ts';
import { Transfer } from './transfer.ts';

/** Never rejects: whatever happens, the exchange is answered or aborted and the request is logged. */
export async function handleRequest(exchange: Exchange, service: ProxyService): Promise<void> {
  const session = service.openSession(exchange);
  let error: ProxyError | undefined;
  try {
    const answered = await answer(session, exchange, service);
    if (answered !== undefined) sendOwn(session, exchange, answered);
  } catch (thrown) {
    error = asProxyError(thrown);
    answerFailure(session, exchange, error);
  } finally {
    service.closeSession(session, error);
  }
}

/** @returns Sluice's own answer; `undefined` if the peer's has been sent */
async function answer(
  session: Session,
  exchange: Exchange,
  service: ProxyService,
): Promise<Answer | undefined> {
  session.ctx = service.newCtx();
  refuseMethod(session.request.method);
  const { phases } = service;
  if (phases.requestFilter !== undefined) {
    const outcome = phases.requestFilter(session);
    const decided = outcome instanceof Promise ? await outcome : outcome;
    if (decided instanceof Answer) return decided;
  }
  const upstream = await askUpstream(session, exchange, service);
  await passOn(session, exchange, service, upstream);
  return undefined;
}

/** A response under way, and the connection and upload it belongs to. */
interface Asked {
  readonly response: UpstreamResponse;
  readonly connection: UpstreamConnection;
  readonly upload: Transfer | undefined;
}

/** Tries peers until one answers, as far as repeating the request is safe. */
async function askUpstream(
  session: Session,
  exchange: Exchange,
  service: ProxyService,
): Promise<Asked> {
  for (;;) {
    session.attempts += 1;
    const chosen = service.phases.upstreamPeer(session);
    session.peer = chosen instanceof Promise ? await chosen : chosen;
    try {
      return await attempt(session, exchange, service);
    } catch (thrown) {
      const error = asProxyError(thrown);
      if (session.attempts >= service.maxAttempts || !mayRetry(error, session, exchange))
        throw error;
      service.recorder.upstream(session.peer.upstream).retried();
      session.log.warn(
        { err: error, peer: session.peer.address, attempt: session.attempts },
        'trying again',
      );
    }
  }
}

function mayRetry(error: ProxyError, session: Session, exchange: Exchange): boolean {
  switch (error.facts.retry) {
    case 'safe':
      return true;
    case 'if-idempotent':
      return session.isIdempotent && exchange.requestBody === undefined;
    case 'never':
      return false;
  }
}

async function attempt(
  session: Session,
  exchange: Exchange,
  service: ProxyService,
): Promise<Asked> {
  const peer = session.peer!;
  const request = { ...session.request, headers: session.request.headers.clone() };
  removeHopByHop(request.headers);
  setForwarded(request.headers, exchange, service.trusts);
  // A client of HTTP/1.0 may leave it out; a request of HTTP/1.1 may not (RFC 9112 §3.2).
  if (session.request.authority === '') request.headers.set('Host', peer.address);
  if (service.phases.upstreamRequestFilter !== undefined) {
    const filtered = service.phases.upstreamRequestFilter(session, request);
    if (filtered instanceof Promise) await filtered;
  }

  const connection = service.connector.reuse(peer) ?? (await service.connector.connect(peer));
  if (exchange.aborted !== undefined) {
    connection.close();
    throw exchange.aborted;
  }
  // From here on, the client's leaving ends the peer's work too.
  exchange.onAborted = (error) => connection.cancel(error);
  connection.onInterim = (head) => {
    removeHopByHop(head.headers);
    exchange.sendInterim(head);
  };
  const body = exchange.requestBody;
  const response = connection.send(request, body);
  const upload = body && startUpload(body, connection);
  return { response: await response, connection, upload };
}

function startUpload(
  body: NonNullable<Exchange['requestBody']>,
  connection: UpstreamConnection,
): Transfer {
  const upload = new Transfer(body, connection);
  const through = upload.run();
  // The client's failure reaches the request through `connection.cancel`; here it only ends the upload.
  through?.catch((error: ProxyError) => connection.cancel(error));
  return upload;
}

async function passOn(
  session: Session,
  exchange: Exchange,
  service: ProxyService,
  { response, connection, upload }: Asked,
): Promise<void> {
  const { head, body } = response;
  try {
    removeHopByHop(head.headers);
    const { phases } = service;
    if (phases.upstreamResponseFilter !== undefined) {
      const filtered = phases.upstreamResponseFilter(session, head);
      if (filtered instanceof Promise) await filtered;
    }
    if (phases.responseFilter !== undefined) {
      const filtered = phases.responseFilter(session, head);
      if (filtered instanceof Promise) await filtered;
    }
    session.status = head.status;
    if (body === undefined) {
      exchange.sendHead(head, emptyBodyOf(head, session.request.method));
    } else {
      const through = new Transfer(body, exchange.sendHead(head, body.length ?? 'unknown')).run();
      if (through !== undefined) await through;
    }
  } catch (thrown) {
    connection.close();
    throw thrown;
  } finally {
    exchange.onAborted = undefined;
    // The peer has answered without waiting for the rest of the upload: what was sent of it
    // must not be the beginning of somebody else's request.
    if (upload !== undefined && !upload.complete) connection.close();
  }
}

/** A response to HEAD, and a 304, may name the length of a body that does not follow. */
function emptyBodyOf(head: ResponseHead, method: string): 'none' {
  const mayKeepLength = method === 'HEAD' || head.status === 304;
  if (!mayKeepLength && head.status >= 200 && head.status !== 204)
    head.headers.set('Content-Length', '0');
  return 'none';
}

function sendOwn(session: Session, exchange: Exchange, { status, headers, body }: Answer): void {
  session.status = status;
  const head: ResponseHead = { status, reason: '', version: '1.1', headers: headers.clone() };
  head.headers.set('Date', new Date().toUTCString());
  const length = body?.length ?? 0;
  const writer = exchange.sendHead(head, length);
  if (body !== undefined) writer.write(body, 0, length);
  writer.end(undefined);
}

function answerFailure(session: Session, exchange: Exchange, error: ProxyError): void {
  const { status, side } = error.facts;
  const fields = { err: error, peer: session.peer?.address, attempts: session.attempts };
  if (side === 'internal') session.log.error(fields, 'a phase threw');
  else if (side === 'upstream') session.log.warn(fields, 'request failed');
  else session.log.debug(fields, 'request failed');

  // Once the head is out, cutting the connection is the only way left to say "this is broken".
  if (exchange.headSent || status === 0) return exchange.abort();
  sendOwn(session, exchange, session.respondError(status));
}

/** Leads bodies through the phases of a program, and holds those to the length they promise. */
import type { IncomingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';
import { FilteredBody, type BodyPhases } from './filtered-body.ts';
import type { ProxyService } from './proxy-service.ts';
import type { Session } from './session.ts';

/** @throws {TypeError} a phase has set a Content-Length that is none */
export function promisedLength(headers: Headers): number | undefined {
  const text = headers.get('content-length');
  if (text === undefined) return undefined;
  const length = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(length)) return length;
  throw new TypeError(
    `content-length: expected a number of bytes from a phase, got ${JSON.stringify(text)}`,
  );
}

export function requestBodyFor(
  session: Session,
  body: IncomingBody,
  length: number | undefined,
  service: ProxyService,
): FilteredBody {
  const phases = { pieces: piecesThrough('requestBodyFilter', session, service) };
  return filtered(body, phases, length, session, service);
}

/**
 * The peer's body, through the phases near the peer and then through those near
 * the client; there is at least one.
 */
export function responseBodyFor(
  session: Session,
  body: IncomingBody,
  headers: Headers,
  service: ProxyService,
): FilteredBody {
  const promised = service.changesResponseBodies ? promisedLength(headers) : body.length;
  const fromPeer = {
    pieces: piecesThrough('upstreamResponseBodyFilter', session, service),
    trailers: trailersThrough('upstreamResponseTrailerFilter', session, service),
  };
  const toClient = {
    pieces: piecesThrough('responseBodyFilter', session, service),
    trailers: trailersThrough('responseTrailerFilter', session, service),
  };
  if (isEmpty(toClient)) return filtered(body, fromPeer, promised, session, service);
  // The promise is made to the client: only what reaches it can break it.
  const lengthBetween = toClient.pieces === undefined ? promised : undefined;
  const between = isEmpty(fromPeer)
    ? body
    : filtered(body, fromPeer, lengthBetween, session, service);
  return filtered(between, toClient, promised, session, service);
}

function isEmpty({ pieces, trailers }: BodyPhases): boolean {
  return pieces === undefined && trailers === undefined;
}

function piecesThrough(
  phase: 'requestBodyFilter' | 'upstreamResponseBodyFilter' | 'responseBodyFilter',
  session: Session,
  { phases }: ProxyService,
): BodyPhases['pieces'] {
  if (phases[phase] === undefined) return undefined;
  return { phase, filter: (piece, endOfBody) => phases[phase]!(session, piece, endOfBody) };
}

function trailersThrough(
  phase: 'upstreamResponseTrailerFilter' | 'responseTrailerFilter',
  session: Session,
  { phases }: ProxyService,
): BodyPhases['trailers'] {
  if (phases[phase] === undefined) return undefined;
  return { phase, filter: (trailers) => phases[phase]!(session, trailers) };
}

function filtered(
  body: IncomingBody,
  phases: BodyPhases,
  length: number | undefined,
  session: Session,
  { deadlines, phaseTimeoutMs }: ProxyService,
): FilteredBody {
  return new FilteredBody(body, {
    phases,
    length,
    deadlines,
    phaseTimeoutMs: session.timeouts?.phaseMs ?? phaseTimeoutMs,
  });
}

/** Leads bodies through the phases of a program, and holds those to the length they promise. */
import type { IncomingBody } from '../http/body.ts';
import type { Headers } from '../http/headers.ts';
import { FilteredBody, type BodyPhases, type BodyStage } from './filtered-body.ts';
import type { Phases } from './proxy-http.ts';
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

/** What bodies of requests pass; `undefined`: nothing. */
export function requestBodyPhases(phases: Phases<unknown>): BodyPhases | undefined {
  return inOrder([{ pieces: piecesThrough('requestBodyFilter', phases) }]);
}

/** What bodies of responses pass: near the peer first, then near the client; `undefined`: nothing. */
export function responseBodyPhases(phases: Phases<unknown>): BodyPhases | undefined {
  return inOrder([
    {
      pieces: piecesThrough('upstreamResponseBodyFilter', phases),
      trailers: trailersThrough('upstreamResponseTrailerFilter', phases),
    },
    {
      pieces: piecesThrough('responseBodyFilter', phases),
      trailers: trailersThrough('responseTrailerFilter', phases),
    },
  ]);
}

function inOrder(all: readonly BodyStage[]): BodyPhases | undefined {
  const stages = all.filter(
    ({ pieces, trailers }) => pieces !== undefined || trailers !== undefined,
  );
  if (stages.length === 0) return undefined;
  return { stages, changesBodies: stages.some(({ pieces }) => pieces !== undefined) };
}

function piecesThrough(
  phase: 'requestBodyFilter' | 'upstreamResponseBodyFilter' | 'responseBodyFilter',
  phases: Phases<unknown>,
): BodyStage['pieces'] {
  if (phases[phase] === undefined) return undefined;
  return {
    phase,
    filter: (session, piece, endOfBody) => phases[phase]!(session, piece, endOfBody),
  };
}

function trailersThrough(
  phase: 'upstreamResponseTrailerFilter' | 'responseTrailerFilter',
  phases: Phases<unknown>,
): BodyStage['trailers'] {
  if (phases[phase] === undefined) return undefined;
  return { phase, filter: (session, trailers) => phases[phase]!(session, trailers) };
}

/** @param length that the head promises to whoever gets the body; `undefined`: none */
export function filtered(
  body: IncomingBody,
  phases: BodyPhases,
  length: number | undefined,
  session: Session,
  { deadlines, phaseTimeoutMs }: ProxyService,
): FilteredBody {
  return new FilteredBody(body, {
    session,
    phases,
    length,
    deadlines,
    phaseTimeoutMs: session.timeouts?.phaseMs ?? phaseTimeoutMs,
  });
}

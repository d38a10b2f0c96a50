/** Where a message's body ends, as its head says (RFC 9112 §6). */
import type { Headers } from '../../http/headers.ts';
import type { BodyFraming, HttpVersion } from '../../http/message.ts';
import { hasNoBody } from '../../http/status.ts';
import { Malformed } from '../malformed.ts';

const NONE: BodyFraming = { kind: 'none' };
const CHUNKED: BodyFraming = { kind: 'chunked' };
const UNTIL_CLOSE: BodyFraming = { kind: 'until-close' };

/** @throws {Malformed} the head contradicts itself, or can be read in two ways */
export function requestFraming(headers: Headers, version: HttpVersion): BodyFraming {
  if (declaresChunked(headers, version)) return CHUNKED;
  const length = declaredLength(headers);
  return length === undefined || length === 0 ? NONE : { kind: 'length', length };
}

/**
 * @param requestMethod of the request that it answers: it decides whether there can be a body
 * @throws {Malformed} the head contradicts itself, or can be read in two ways
 */
export function responseFraming(
  headers: Headers,
  version: HttpVersion,
  status: number,
  requestMethod: string,
): BodyFraming {
  const isChunked = declaresChunked(headers, version);
  const length = declaredLength(headers);
  // RFC 9112 §6.1: these have no body, so they must not speak of a coding for it.
  if (isChunked && (status < 200 || status === 204)) {
    throw new Malformed(`expected no Transfer-Encoding in a ${status} response`);
  }
  if (requestMethod === 'HEAD' || hasNoBody(status)) return NONE;
  if (requestMethod === 'CONNECT' && status < 300) return NONE;
  if (isChunked) return CHUNKED;
  return length === undefined ? UNTIL_CLOSE : { kind: 'length', length };
}

const DIGITS = /^\d{1,16}$/;

/** Identical repeats are allowed by the RFC but refused here: no honest client sends them. */
function declaredLength(headers: Headers): number | undefined {
  const first = headers.get('content-length');
  if (first === undefined) return undefined;
  if (headers.getAll('content-length').length > 1)
    throw new Malformed('expected one Content-Length, got several');
  const length = DIGITS.test(first) ? Number(first) : Number.NaN;
  if (Number.isSafeInteger(length)) return length;
  throw new Malformed(
    `expected Content-Length to be a number below 2^53, got ${JSON.stringify(first)}`,
  );
}

const CODINGS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/;

function declaresChunked(headers: Headers, version: HttpVersion): boolean {
  const first = headers.get('transfer-encoding');
  if (first === undefined) return false;
  if (headers.has('content-length'))
    throw new Malformed('expected Content-Length or Transfer-Encoding, got both');
  if (headers.getAll('transfer-encoding').length > 1)
    throw new Malformed('expected one Transfer-Encoding, got several');
  if (version === '1.0') throw new Malformed('expected no Transfer-Encoding in HTTP/1.0');
  const coding = first.toLowerCase();
  if (coding === 'chunked') return true;
  if (!CODINGS.test(first))
    throw new Malformed(`expected Transfer-Encoding "chunked", got ${JSON.stringify(first)}`);
  // Well formed, but with chunked somewhere else than alone: peers disagree about what it means.
  if (coding.split(/[ \t]*,[ \t]*/).filter((each) => each === 'chunked').length > 1) {
    throw new Malformed(`expected Transfer-Encoding "chunked" once, got ${JSON.stringify(first)}`);
  }
  throw new Malformed(
    `expected Transfer-Encoding "chunked", got ${JSON.stringify(first)}`,
    'transfer-coding-not-supported',
  );
}

/** Whether the connection lives on after the message (RFC 9112 §9.3). */
export function keepsAlive(headers: Headers, version: HttpVersion): boolean {
  const options = connectionOptions(headers);
  if (options.length === 0) return version === '1.1';
  if (options.includes('close')) return false;
  return version === '1.1' || options.includes('keep-alive');
}

function connectionOptions(headers: Headers): string[] {
  if (!headers.has('connection')) return [];
  return headers
    .getAll('connection')
    .flatMap((value) => value.split(',').map((option) => option.trim().toLowerCase()));
}

/** The protocols a client asks to change to; h2c is never one of them, since it hides requests from us. */
export function upgradeOf(headers: Headers, version: HttpVersion): string | undefined {
  if (version !== '1.1' || !connectionOptions(headers).includes('upgrade')) return undefined;
  const wanted = headers.get('upgrade');
  return wanted === undefined || /(?:^|[\s,])h2c(?:$|[\s,])/i.test(wanted) ? undefined : wanted;
}

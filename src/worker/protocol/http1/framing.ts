/** Where a message's body ends, as its head says (RFC 9112 §6). */
import type { Headers } from '../../http/headers.ts';
import { knownNames } from '../../http/known-names.ts';
import type { BodyFraming, HttpVersion } from '../../http/message.ts';
import { hasNoBody } from '../../http/status.ts';
import { Malformed } from '../malformed.ts';

const CONTENT_LENGTH = knownNames('content-length');
const TRANSFER_ENCODING = knownNames('transfer-encoding');
const CONNECTION = knownNames('connection');

/** The fields that say where a body ends. */
export const FRAMING_FIELDS = CONTENT_LENGTH | TRANSFER_ENCODING;

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
  // RFC 9110 §8.6: they must not have a length either, and whoever believed it would wait for a body.
  if (length !== undefined && (status < 200 || status === 204)) headers.delete('content-length');
  if (requestMethod === 'HEAD' || hasNoBody(status)) return NONE;
  if (requestMethod === 'CONNECT' && status < 300) return NONE;
  if (isChunked) return CHUNKED;
  return length === undefined ? UNTIL_CLOSE : { kind: 'length', length };
}

/** Identical repeats are allowed by the RFC but refused here: no honest client sends them. */
function declaredLength(headers: Headers): number | undefined {
  if (headers.lacks(CONTENT_LENGTH)) return undefined;
  const first = headers.known(CONTENT_LENGTH, 'content-length')!;
  if (headers.repeats(CONTENT_LENGTH))
    throw new Malformed('expected one Content-Length, got several');
  const length = lengthFrom(first);
  if (Number.isSafeInteger(length)) {
    // Zeros in front are allowed, but whoever comes after us may take them for the sign of octal.
    if (first.length > 1 && first.startsWith('0')) headers.set('Content-Length', String(length));
    return length;
  }
  throw new Malformed(
    `expected Content-Length to be a number below 2^53, got ${JSON.stringify(first)}`,
  );
}

const MAX_DIGITS = 16;

/** Digits only, and not more than a number can hold exactly; else NaN. */
function lengthFrom(text: string): number {
  if (text.length === 0 || text.length > MAX_DIGITS) return Number.NaN;
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    length = length * 10 + digit;
  }
  return length;
}

const CODINGS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/;

function declaresChunked(headers: Headers, version: HttpVersion): boolean {
  if (headers.lacks(TRANSFER_ENCODING)) return false;
  const first = headers.known(TRANSFER_ENCODING, 'transfer-encoding')!;
  if (!headers.lacks(CONTENT_LENGTH))
    throw new Malformed('expected Content-Length or Transfer-Encoding, got both');
  if (headers.repeats(TRANSFER_ENCODING))
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

/**
 * Makes the framing fields agree with the body that will follow: with others,
 * which somebody may have set on the way, the reader would take the rest of one
 * message for the next one.
 *
 * @param length bytes; `undefined`: in chunks
 * @returns the line that is missing, with its CRLF
 */
export function agreeFraming(headers: Headers, length: number | undefined): string {
  headers.remove(TRANSFER_ENCODING);
  if (length === undefined) {
    headers.remove(CONTENT_LENGTH);
    return 'Transfer-Encoding: chunked\r\n';
  }
  const wanted = String(length);
  if (!headers.lacks(CONTENT_LENGTH)) {
    const isSo = headers.known(CONTENT_LENGTH, 'content-length') === wanted;
    if (isSo && !headers.repeats(CONTENT_LENGTH)) return '';
    headers.remove(CONTENT_LENGTH);
  }
  return `Content-Length: ${wanted}\r\n`;
}

/** What `Connection` says: how the connection goes on, and the protocols that the sender wants to change to. */
export interface ConnectionWishes {
  /** The connection lives on after the message (RFC 9112 §9.3). */
  readonly keepAlive: boolean;
  /** h2c is never among them, since it hides requests from us. */
  readonly upgrade: string | undefined;
}

const PERSISTENT: ConnectionWishes = { keepAlive: true, upgrade: undefined };
const CLOSING: ConnectionWishes = { keepAlive: false, upgrade: undefined };

/** More than anybody sends; each costs a comparison with each field. */
const MAX_CONNECTION_OPTIONS = 32;

/** @throws {Malformed} more options than anybody sends */
export function connectionWishes(headers: Headers, version: HttpVersion): ConnectionWishes {
  if (headers.lacks(CONNECTION)) return version === '1.1' ? PERSISTENT : CLOSING;
  if (!headers.repeats(CONNECTION)) {
    const first = headers.known(CONNECTION, 'connection');
    if (first === 'keep-alive') return PERSISTENT;
    if (first === 'close') return CLOSING;
  }
  const options = headers
    .getAll('connection')
    .flatMap((value) => value.split(',', MAX_CONNECTION_OPTIONS + 1))
    .map((option) => option.trim().toLowerCase());
  if (options.length > MAX_CONNECTION_OPTIONS) {
    throw new Malformed(
      `expected at most ${MAX_CONNECTION_OPTIONS} options in Connection, got more`,
    );
  }
  const keepAlive =
    !options.includes('close') && (version === '1.1' || options.includes('keep-alive'));
  const wanted =
    version === '1.1' && options.includes('upgrade') ? headers.get('upgrade') : undefined;
  const isAllowed = wanted !== undefined && !/(?:^|[\s,])h2c(?:$|[\s,])/i.test(wanted);
  return { keepAlive, upgrade: isAllowed ? wanted : undefined };
}

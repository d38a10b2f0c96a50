/** What is said of clients that leave, are slow, or send what must not be served. */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import { Headers } from '../http/headers.ts';
import type { ParsedRequest } from '../protocol/http1/request-head.ts';
import type { Malformed } from '../protocol/malformed.ts';

export function leftEarly(address: string): ProxyError {
  return new ProxyError('downstream/closed', `${address} closed before its answer was complete`);
}

export function leftMidBody(address: string): ProxyError {
  return new ProxyError(
    'downstream/closed',
    `${address}: the client closed in the middle of its request body`,
  );
}

export function headTooLate(): ProxyError {
  return new ProxyError('downstream/request-timeout', 'the head was not complete in time');
}

export function bodyTooLate(address: string, idleMs: number): ProxyError {
  return new ProxyError(
    'downstream/request-timeout',
    `${address}: sent nothing of its body for ${idleMs} ms`,
  );
}

export function bodyTooSlow(address: string, minRate: number): ProxyError {
  return new ProxyError(
    'downstream/body-too-slow',
    `${address}: sent its body at less than ${minRate} bytes per second`,
  );
}

export function answerTakenTooLate(address: string, idleMs: number): ProxyError {
  return new ProxyError('downstream/write-timeout', `${address} did not read for ${idleMs} ms`);
}

export function answerTakenTooSlowly(address: string, minRate: number): ProxyError {
  return new ProxyError(
    'downstream/body-too-slow',
    `${address} took its response at less than ${minRate} bytes per second`,
  );
}

export function tunnelTooQuiet(address: string, idleMs: number): ProxyError {
  return new ProxyError(
    'downstream/tunnel-idle',
    `${address}: no byte went either way for ${idleMs} ms`,
  );
}

export function notReadable(malformed: Malformed): ProxyError {
  return new ProxyError(`downstream/${malformed.code}`, malformed.message, { cause: malformed });
}

export function bodyTooLarge(length: number | 'more', maxBytes: number): ProxyError {
  return new ProxyError(
    'downstream/body-too-large',
    `expected a request body of at most ${maxBytes} bytes, got ${length}; see limits.max_body`,
  );
}

/** Thrown through the decoder of a body, which must not go on. */
export class TooLarge extends Error {
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super('request body too large');
    this.maxBytes = maxBytes;
  }
}

/** As much of a request as is known of one that could not be read. */
export function unreadable(): ParsedRequest {
  return {
    head: { method: '', target: '', version: '1.1', authority: '', headers: new Headers() },
    framing: { kind: 'none' },
    keepAlive: false,
    expectsContinue: false,
    upgrade: undefined,
  };
}

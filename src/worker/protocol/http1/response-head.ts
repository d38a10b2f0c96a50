/**
 * The head of an HTTP/1 response (RFC 9112 §4, §5), read as strictly as a
 * request's: a response that can be read in two ways poisons whoever gets the
 * other reading.
 */
import type { BodyFraming, HttpVersion, ResponseHead } from '../../http/message.ts';
import { reasonOf } from '../../http/status.ts';
import { Malformed } from '../malformed.ts';
import { byteClasses, CR, FIELD_VALUE, isDigit, LF, shown, SP } from './bytes.ts';
import { FieldSectionReader } from './field-section.ts';
import { connectionWishes, responseFraming } from './framing.ts';

export interface ParsedResponse {
  readonly head: ResponseHead;
  readonly framing: BodyFraming;
  /** The peer will take another request on the connection. */
  readonly keepAlive: boolean;
}

export interface ResponseLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaderCount: number;
}

const DEFAULT_LIMITS: ResponseLimits = { maxHeadBytes: 64 * 1024, maxHeaderCount: 256 };

const INCOMPLETE = -1;
const STATUS_START = 'HTTP/1.1 '.length;

export class ResponseHeadParser {
  readonly #limits: ResponseLimits;
  #parsed: ParsedResponse | undefined;
  #version: HttpVersion = '1.1';
  #status = 0;
  #reasonStart = 0;
  #reasonEnd = 0;
  readonly #fields: FieldSectionReader;

  constructor(limits: ResponseLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
    this.#fields = new FieldSectionReader(limits.maxHeaderCount);
  }

  /**
   * Reads one head from `bytes[from..end)`; see `RequestHeadParser.parse`.
   *
   * @param requestMethod of the request that it answers
   */
  parse(bytes: Buffer, from: number, end: number, requestMethod: string): number {
    const { maxHeadBytes } = this.#limits;
    const afterLine = this.#readLine(bytes, from, end);
    const afterHead = afterLine < 0 ? INCOMPLETE : this.#fields.read(bytes, afterLine, end, from);
    if ((afterHead < 0 ? end : afterHead) - from > maxHeadBytes) {
      throw new Malformed(`expected a response head of at most ${maxHeadBytes} bytes, got more`);
    }
    if (afterHead < 0) return INCOMPLETE;
    const text = bytes.latin1Slice(from, afterHead);
    const headers = this.#fields.headers(text);
    const usual = reasonOf(this.#status);
    const reason = isAt(bytes, this.#reasonStart, this.#reasonEnd, usual)
      ? usual
      : text.slice(this.#reasonStart - from, this.#reasonEnd - from);
    const version = this.#version;
    const framing = responseFraming(headers, version, this.#status, requestMethod);
    this.#parsed = {
      head: { status: this.#status, reason, version, headers },
      framing,
      keepAlive: framing.kind !== 'until-close' && connectionWishes(headers, version).keepAlive,
    };
    return afterHead;
  }

  /** The head that the last successful `parse` read; once. */
  take(): ParsedResponse {
    const parsed = this.#parsed;
    if (parsed === undefined) throw new Error('no head has been read');
    this.#parsed = undefined;
    return parsed;
  }

  #readLine(bytes: Buffer, from: number, end: number): number {
    const available = Math.min(end - from, STATUS_START + 3);
    for (let at = 0; at < available; at++) {
      const byte = bytes[from + at]!;
      if (byte === START[at] || isDigitThatMayDiffer(byte, at)) continue;
      throw new Malformed(`expected a status line such as "HTTP/1.1 200 OK", got ${shown(byte)}`);
    }
    const afterStatus = from + STATUS_START + 3;
    if (afterStatus >= end) return INCOMPLETE;
    this.#version = bytes[from + 7] === 0x30 ? '1.0' : '1.1';
    this.#status =
      digit(bytes, afterStatus - 3) * 100 +
      digit(bytes, afterStatus - 2) * 10 +
      digit(bytes, afterStatus - 1);
    if (this.#status < 100 || this.#status > 599) {
      throw new Malformed(`expected a status from 100 to 599, got ${this.#status}`);
    }
    return this.#readReason(bytes, afterStatus, end);
  }

  #readReason(bytes: Buffer, from: number, end: number): number {
    let at = from;
    // The space before the reason is required even if there is none, but some peers leave it out.
    if (bytes[at] === SP) {
      at += 1;
      while (at < end && (byteClasses[bytes[at]!]! & FIELD_VALUE) !== 0) at += 1;
      if (at >= end) return INCOMPLETE;
    }
    if (bytes[at] !== CR)
      throw new Malformed(`expected CRLF after the status line, got ${shown(bytes[at]!)}`);
    if (at + 1 >= end) return INCOMPLETE;
    if (bytes[at + 1] !== LF)
      throw new Malformed(`expected LF after CR in the status line, got ${shown(bytes[at + 1]!)}`);
    this.#reasonStart = Math.min(from + 1, at);
    this.#reasonEnd = at;
    return at + 2;
  }
}

const START = Buffer.from('HTTP/1.1 200');

function isDigitThatMayDiffer(byte: number, at: number): boolean {
  return at >= STATUS_START ? isDigit(byte) : at === 7 && byte === 0x30;
}

function isAt(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let at = 0; at < text.length; at++) {
    if (bytes[start + at] !== text.charCodeAt(at)) return false;
  }
  return true;
}

function digit(bytes: Buffer, at: number): number {
  return bytes[at]! - 0x30;
}

/**
 * The head of an HTTP/1 request (RFC 9112 §3, §5). Pure: bytes in, a head out.
 *
 * Everything that two implementations might read differently is refused: what
 * we pass on, every peer must understand as we did.
 */
import { isIPv6 } from 'node:net';
import type { Headers } from '../../http/headers.ts';
import { knownNames } from '../../http/known-names.ts';
import type { BodyFraming, HttpVersion, RequestHead } from '../../http/message.ts';
import { Malformed } from '../malformed.ts';
import { byteClasses, CR, LF, shown, SP, TARGET, TOKEN } from './bytes.ts';
import { FieldSectionReader } from './field-section.ts';
import { connectionWishes, requestFraming } from './framing.ts';

export interface HeadLimits {
  readonly maxTargetBytes: number;
  /** Request line and fields together. */
  readonly maxHeadBytes: number;
  readonly maxHeaderCount: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = {
  maxTargetBytes: 8 * 1024,
  maxHeadBytes: 32 * 1024,
  maxHeaderCount: 100,
};

export interface ParsedRequest {
  readonly head: RequestHead;
  readonly framing: BodyFraming;
  /** The client can use the connection again. */
  readonly keepAlive: boolean;
  /** It waits for a 100 before it sends its body. */
  readonly expectsContinue: boolean;
  /** What it asks to change the protocol to. */
  readonly upgrade: string | undefined;
}

/** Longer ones are no method anybody has registered. */
const MAX_METHOD_BYTES = 32;
const INCOMPLETE = -1;

export class RequestHeadParser {
  readonly limits: HeadLimits;
  #parsed: ParsedRequest | undefined;
  readonly #fields: FieldSectionReader;
  // Where the parts of the request line are, as of the last `#readLine`.
  #methodStart = 0;
  #methodEnd = 0;
  #targetEnd = 0;
  #version: HttpVersion = '1.1';
  /** The latest one that was found valid. */
  #lastHost = '';
  #lastHostBytes: Uint8Array | undefined;

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS) {
    this.limits = limits;
    this.#fields = new FieldSectionReader(limits.maxHeaderCount);
  }

  /**
   * Reads one head from `bytes[from..end)`.
   *
   * @returns the index after the head, which `take` then gives; -1 if the bytes
   *   end before it: call again with more, from the same first byte
   * @throws {Malformed} as early as the bytes allow
   */
  parse(bytes: Buffer, from: number, end: number): number {
    const afterLine = this.#readLine(bytes, from, end);
    if (afterLine === INCOMPLETE) return this.#needMore(end - from);
    const afterHead = this.#fields.read(bytes, afterLine, end, from);
    if (afterHead === INCOMPLETE) return this.#needMore(end - from);
    if (afterHead - from > this.limits.maxHeadBytes) throw this.#headTooLarge();
    // One string for all of it: to make one for each part would cost as much as all the rest.
    this.#parsed = this.#judge(bytes, bytes.latin1Slice(from, afterHead), from);
    return afterHead;
  }

  /** The head that the last successful `parse` read; once. */
  take(): ParsedRequest {
    const parsed = this.#parsed;
    if (parsed === undefined) throw new Error('no head has been read');
    this.#parsed = undefined;
    return parsed;
  }

  #needMore(have: number): typeof INCOMPLETE {
    if (have > this.limits.maxHeadBytes) throw this.#headTooLarge();
    return INCOMPLETE;
  }

  #headTooLarge(): Malformed {
    return new Malformed(
      `expected a head of at most ${this.limits.maxHeadBytes} bytes, got more`,
      'head-too-large',
    );
  }

  // ── the request line (RFC 9112 §3) ────────────────────────────────────────

  #readLine(bytes: Buffer, from: number, end: number): number {
    let at = from;
    // One empty line is tolerated before a request (§2.2); more is no client that we know.
    if (bytes[at] === CR) {
      if (at + 1 >= end) return INCOMPLETE;
      if (bytes[at + 1] !== LF) throw new Malformed(`expected a method, got ${shown(CR)}`);
      at += 2;
    }
    const afterMethod = this.#readMethod(bytes, at, end);
    if (afterMethod === INCOMPLETE) return INCOMPLETE;
    const afterTarget = this.#readTarget(bytes, afterMethod, end);
    if (afterTarget === INCOMPLETE) return INCOMPLETE;
    return this.#readVersion(bytes, afterTarget, end);
  }

  #readMethod(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && (byteClasses[bytes[at]!]! & TOKEN) !== 0) at += 1;
    if (at - from > MAX_METHOD_BYTES)
      throw new Malformed(`expected a method of at most ${MAX_METHOD_BYTES} bytes, got more`);
    if (at >= end) return INCOMPLETE;
    if (at === from) throw new Malformed(`expected a method, got ${shown(bytes[at]!)}`);
    if (bytes[at] !== SP)
      throw new Malformed(`expected one space after the method, got ${shown(bytes[at]!)}`);
    this.#methodStart = from;
    this.#methodEnd = at;
    return at + 1;
  }

  #readTarget(bytes: Buffer, from: number, end: number): number {
    const { maxTargetBytes } = this.limits;
    let at = from;
    while (at < end && (byteClasses[bytes[at]!]! & TARGET) !== 0) at += 1;
    if (at - from > maxTargetBytes) {
      throw new Malformed(
        `expected a target of at most ${maxTargetBytes} bytes, got more`,
        'target-too-long',
      );
    }
    if (at >= end) return INCOMPLETE;
    if (at === from)
      throw new Malformed(`expected a target after one space, got ${shown(bytes[at]!)}`);
    if (bytes[at] !== SP)
      throw new Malformed(`expected one space after the target, got ${shown(bytes[at]!)}`);
    this.#targetEnd = at;
    return at + 1;
  }

  #readVersion(bytes: Buffer, from: number, end: number): number {
    const available = Math.min(end - from, VERSION_LINE.length);
    for (let at = 0; at < available; at++) {
      const byte = bytes[from + at]!;
      if (byte === VERSION_LINE[at]) continue;
      const isVersionDigit = at === 5 || at === 7;
      if (isVersionDigit && byte >= 0x30 && byte <= 0x39) continue;
      throw new Malformed(`expected "HTTP/1.1" and CRLF after the target, got ${shown(byte)}`);
    }
    if (available < VERSION_LINE.length) return INCOMPLETE;
    const minor = bytes[from + 7];
    if (bytes[from + 5] !== ONE || (minor !== ONE && minor !== ZERO)) {
      throw new Malformed(
        `expected HTTP/1.0 or HTTP/1.1, got HTTP/${bytes.latin1Slice(from + 5, from + 8)}`,
        'version-not-supported',
      );
    }
    this.#version = minor === ONE ? '1.1' : '1.0';
    return from + VERSION_LINE.length;
  }

  // ── what the head means ───────────────────────────────────────────────────

  /** @param from where in the bytes the text begins */
  #judge(bytes: Buffer, text: string, from: number): ParsedRequest {
    const headers = this.#fields.headers(text);
    const version = this.#version;
    const method = methodOf(text, this.#methodStart - from, this.#methodEnd - from);
    const given = text.slice(this.#methodEnd + 1 - from, this.#targetEnd - from);
    const host = this.#hostOf(bytes, headers, version);
    const { target, authority } = resolveTarget(method, given, host);
    // RFC 9112 §3.2.2: what the target names is what goes on as Host; HTTP/1.0 may have sent none.
    if (host !== authority) headers.set('Host', authority);
    const framing = requestFraming(headers, version);
    const { keepAlive, upgrade } = connectionWishes(headers, version);
    return {
      head: { method, target, version, authority, headers },
      framing,
      keepAlive,
      expectsContinue: expectsContinue(headers, version),
      upgrade,
    };
  }

  /** RFC 9112 §3.2: one valid Host, or the request is refused. */
  #hostOf(bytes: Buffer, headers: Headers, version: HttpVersion): string {
    if (headers.lacks(HOST)) {
      if (version === '1.0') return '';
      throw new Malformed('expected a Host field, got none');
    }
    if (headers.repeats(HOST)) throw new Malformed('expected one Host field, got several');
    // A client asks for the same host over and over.
    const last = this.#lastHostBytes;
    if (last !== undefined && this.#fields.valueIs(HOST, bytes, last)) return this.#lastHost;
    const host = headers.known(HOST, 'host')!;
    if (!isAuthority(host)) {
      throw new Malformed(`expected Host to be a name or address, got ${JSON.stringify(host)}`);
    }
    this.#lastHost = host;
    this.#lastHostBytes = Buffer.from(host, 'latin1');
    return host;
  }
}

const HOST = knownNames('host');
const EXPECT = knownNames('expect');

const VERSION_LINE = Buffer.from('HTTP/1.1\r\n');
const ZERO = 0x30;
const ONE = 0x31;

const METHODS: ReadonlyMap<string, string> = new Map(
  ['HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((name) => [name, name]),
);

/** The common ones as the same string each time: comparing them is comparing pointers then. */
function methodOf(text: string, start: number, end: number): string {
  if (end - start === 3 && text.startsWith('GET', start)) return 'GET';
  const method = text.slice(start, end);
  return METHODS.get(method) ?? method;
}

/**
 * Name or IPv4 address, or a bracketed IPv6 address; then perhaps a port
 * (RFC 3986 §3.2.2). Without the comma, which the grammar of names allows: a
 * list of hosts is how two Host fields look once somebody has joined them.
 */
const AUTHORITY =
  /^(?:(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]+)\])(?::\d{0,5})?$/;

function isAuthority(text: string): boolean {
  const match = AUTHORITY.exec(text);
  return match !== null && (match[1] === undefined || isIPv6(match[1]));
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?]*)(.*)$/i;

/** RFC 9112 §3.2.1–3.2.4: the four forms, made one. */
function resolveTarget(
  method: string,
  given: string,
  host: string,
): { target: string; authority: string } {
  if (method === 'CONNECT') {
    if (!isAuthority(given) || !/:\d+$/.test(given)) {
      throw new Malformed(
        `expected host and port as the target of CONNECT, got ${JSON.stringify(given)}`,
      );
    }
    return { target: given, authority: given };
  }
  if (given.startsWith('/')) return { target: given, authority: host };
  if (given === '*') {
    if (method === 'OPTIONS') return { target: given, authority: host };
    throw new Malformed(`expected a path, got "*" with ${method}`);
  }
  const [, authority, rest = ''] = ABSOLUTE_FORM.exec(given) ?? [];
  if (authority === undefined || !isAuthority(authority)) {
    throw new Malformed(
      `expected a path or an http URL as the target, got ${JSON.stringify(given)}`,
    );
  }
  if (host !== '' && authority.toLowerCase() !== host.toLowerCase()) {
    throw new Malformed(
      `expected Host to agree with the target, got ${JSON.stringify(host)} and ${JSON.stringify(authority)}`,
    );
  }
  // RFC 9112 §3.2.4: this is how OPTIONS for the whole server looks in absolute form.
  if (method === 'OPTIONS' && rest === '') return { target: '*', authority };
  return { target: rest.startsWith('/') ? rest : `/${rest}`, authority };
}

function expectsContinue(headers: Headers, version: HttpVersion): boolean {
  if (headers.lacks(EXPECT)) return false;
  if (version === '1.0') {
    // RFC 9110 §10.1.1: it means nothing there, but would mean something in the request that goes on.
    headers.delete('expect');
    return false;
  }
  const all = headers.getAll('expect');
  if (all.length === 1 && all[0]!.toLowerCase() === '100-continue') return true;
  throw new Malformed(
    `expected Expect to be 100-continue, got ${JSON.stringify(all.join(', '))}`,
    'expectation-failed',
  );
}

/**
 * Chunked transfer coding, decoding side (RFC 9112 §7.1).
 *
 *   FirstDigit   hex → Size
 *   Size         hex → Size         blank → Padding   ";" → Extension   CR → SizeLf
 *   Padding      blank → Padding    ";" → Extension
 *   Extension    CR → SizeLf        visible, blank, tab → Extension
 *   SizeLf       LF → Data, or Trailers if the size is 0
 *   Data         after that many bytes → DataCr
 *   DataCr       CR → DataLf
 *   DataLf       LF → FirstDigit
 *   Trailers     after the empty line → Done
 *
 * Any other byte is an error: being lenient would let an attacker end a message
 * at one place for us and at another for the peer.
 */
import type { Headers } from '../../http/headers.ts';
import { Malformed } from '../malformed.ts';
import { CR, isFieldValue, LF, HT, shown, SP } from './bytes.ts';
import { FieldSectionReader } from './field-section.ts';

const State = {
  FirstDigit: 0,
  Size: 1,
  Padding: 2,
  Extension: 3,
  SizeLf: 4,
  Data: 5,
  DataCr: 6,
  DataLf: 7,
  Trailers: 8,
  Done: 9,
} as const;
type State = (typeof State)[keyof typeof State];

/** For all chunks of a body together: else a client could keep us reading without ever sending data. */
const MAX_EXTENSION_BYTES = 1_024;
/** 2^53 has 14 hex digits; leading zeros beyond that serve nobody. */
const MAX_SIZE_DIGITS = 16;
const MAX_TRAILER_BYTES = 8 * 1_024;
const MAX_TRAILERS = 32;
const SEMICOLON = 0x3b;

export interface DataReceiver {
  /** Body bytes, in order; valid during the call. */
  onData(bytes: Buffer, from: number, end: number): void;
}

export class ChunkedDecoder {
  #state: State = State.FirstDigit;
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes: Buffer | undefined;
  #trailers: Headers | undefined;
  readonly #receiver: DataReceiver;

  constructor(receiver: DataReceiver) {
    this.#receiver = receiver;
  }

  get done(): boolean {
    return this.#state === State.Done;
  }

  /** Fields after the last chunk that may be passed on; known once `done`. */
  get trailers(): Headers | undefined {
    return this.#trailers;
  }

  reset(): void {
    this.#state = State.FirstDigit;
    this.#remaining = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = undefined;
    this.#trailers = undefined;
  }

  /**
   * @returns the index after what belonged to this body; less than `end` only once `done`
   * @throws {Malformed} the connection cannot be used any further
   */
  decode(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#state !== State.Done) {
      if (this.#state === State.Data) at = this.#deliver(bytes, at, end);
      else if (this.#state === State.Trailers) at = this.#readTrailers(bytes, at, end);
      else this.#state = this.#next(bytes[at++]!);
    }
    return at;
  }

  #next(byte: number): State {
    switch (this.#state) {
      case State.FirstDigit:
        return this.#digit(byte);
      case State.Size:
        return hexValue(byte) >= 0 ? this.#digit(byte) : this.#afterSize(byte);
      case State.Padding:
        return this.#padding(byte);
      case State.Extension:
        return this.#extension(byte);
      case State.SizeLf:
        return mustBe(
          byte,
          LF,
          'LF after the chunk size',
          this.#remaining > 0 ? State.Data : State.Trailers,
        );
      case State.DataCr:
        return mustBe(byte, CR, 'CR after chunk data', State.DataLf);
      case State.DataLf:
        return mustBe(byte, LF, 'LF after chunk data', State.FirstDigit);
      default:
        throw new Error(`no single byte is read in state ${this.#state}`);
    }
  }

  #digit(byte: number): State {
    const value = hexValue(byte);
    if (value < 0) throw malformed(byte, 'a hex digit of the chunk size');
    this.#digits += 1;
    this.#remaining = this.#remaining * 16 + value;
    if (this.#digits > MAX_SIZE_DIGITS || this.#remaining > Number.MAX_SAFE_INTEGER) {
      throw malformed(byte, 'a chunk size below 2^53');
    }
    return State.Size;
  }

  #afterSize(byte: number): State {
    this.#digits = 0;
    if (byte === CR) return State.SizeLf;
    if (byte === SEMICOLON) return State.Extension;
    if (byte === SP || byte === HT) return this.#skip(State.Padding);
    throw malformed(byte, 'CRLF or ";" after the chunk size');
  }

  #padding(byte: number): State {
    if (byte === SEMICOLON) return State.Extension;
    if (byte === SP || byte === HT) return this.#skip(State.Padding);
    throw malformed(byte, '";" after the blanks that follow the chunk size');
  }

  #extension(byte: number): State {
    if (byte === CR) return State.SizeLf;
    // A bare LF ends the line for some peers and not for others; no control byte belongs here.
    if (!isFieldValue(byte)) throw malformed(byte, 'CR before LF in a chunk extension');
    return this.#skip(State.Extension);
  }

  #skip(stay: State): State {
    this.#extensionBytes += 1;
    if (this.#extensionBytes <= MAX_EXTENSION_BYTES) return stay;
    throw new Malformed(
      `expected at most ${MAX_EXTENSION_BYTES} bytes of chunk extensions, got more`,
    );
  }

  #deliver(bytes: Buffer, from: number, end: number): number {
    const until = Math.min(end, from + this.#remaining);
    this.#remaining -= until - from;
    if (this.#remaining === 0) this.#state = State.DataCr;
    this.#receiver.onData(bytes, from, until);
    return until;
  }

  #readTrailers(bytes: Buffer, from: number, end: number): number {
    const before = this.#trailerBytes?.length ?? 0;
    const input =
      before === 0
        ? bytes.subarray(from, end)
        : Buffer.concat([this.#trailerBytes!, bytes.subarray(from, end)]);
    const reader = new FieldSectionReader(MAX_TRAILERS);
    const after = reader.read(input, 0, input.length, 0);
    if ((after < 0 ? input.length : after) > MAX_TRAILER_BYTES) {
      throw new Malformed(`expected at most ${MAX_TRAILER_BYTES} bytes of trailers, got more`);
    }
    if (after < 0) {
      this.#trailerBytes = Buffer.from(input);
      return end;
    }
    this.#trailers = allowedTrailers(reader.headers(input.latin1Slice(0, after)));
    this.#state = State.Done;
    return from + after - before;
  }
}

/** RFC 9110 §6.5.1: what frames, routes or authenticates a message cannot come after it. */
const FORBIDDEN_TRAILER =
  /^(?:content-.*|transfer-encoding|host|connection|keep-alive|proxy(?:-.*)?|te|trailer|upgrade|authorization|www-authenticate|set-cookie|cookie|cache-control|expect|max-forwards|range|if-.*|age|date|expires|location|retry-after|vary|via|warning|x-forwarded-.*|x-real-ip|forwarded)$/i;

/** An underscore is a dash to some peers, so it is one here. */
function allowedTrailers(trailers: Headers): Headers | undefined {
  trailers.filter((name) => !FORBIDDEN_TRAILER.test(name.replaceAll('_', '-')));
  return trailers.size === 0 ? undefined : trailers;
}

function mustBe(byte: number, wanted: number, what: string, then: State): State {
  if (byte === wanted) return then;
  throw malformed(byte, what);
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function malformed(byte: number, expected: string): Malformed {
  return new Malformed(`expected ${expected}, got ${shown(byte)}`);
}

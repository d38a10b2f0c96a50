/**
 * Field lines, as they stand in heads and in trailers (RFC 9112 §5): strictly
 * one CRLF per line, a token, a colon, a value. No folding, no space before the
 * colon, no control byte: each of those has been read differently by two
 * proxies in a row, and each such difference is a way to smuggle a request.
 */
import { Headers, type ParsedFields } from '../../http/headers.ts';
import { knownNameAt, UNDERSCORED, type KnownNames } from '../../http/known-names.ts';
import { lengthBit } from '../../http/name-set.ts';
import { Malformed } from '../malformed.ts';
import { byteClasses, COLON, CR, FIELD_VALUE, HT, LF } from './bytes.ts';
import { shown, SP, TOKEN, UNDERSCORE } from './bytes.ts';

const INCOMPLETE = -1;

/** Finds the field lines of a head or of trailers; can be used again and again. */
export class FieldSectionReader {
  /** Where the text begins that the marks are for. */
  #base = 0;
  /** Room for the marks of all fields; only the first `#markCount` mean something. */
  readonly #marks: number[] = [];
  #markCount = 0;
  #plain = true;
  #lengths = 0;
  #present = 0;
  #repeated = 0;
  readonly #maxCount: number;

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /**
   * Reads field lines up to and including the empty one.
   *
   * @param base where the text begins that `headers` will be given
   * @returns the index after the empty line, or -1 if the bytes end before it
   * @throws {Malformed} as early as the bytes allow
   */
  read(bytes: Buffer, from: number, end: number, base: number): number {
    this.#markCount = 0;
    this.#base = base;
    this.#plain = true;
    this.#lengths = 0;
    this.#present = 0;
    this.#repeated = 0;
    let count = 0;
    let at = from;
    while (at < end) {
      if (bytes[at] === CR) {
        if (at + 1 === end) return INCOMPLETE;
        if (bytes[at + 1] === LF) return at + 2;
        throw new Malformed(
          `expected LF after CR at the end of the header section, got ${shown(bytes[at + 1]!)}`,
        );
      }
      count += 1;
      if (count > this.#maxCount) {
        throw new Malformed(
          `expected at most ${this.#maxCount} fields, got more`,
          'too-many-headers',
        );
      }
      at = this.#readField(bytes, at, end);
      if (at < 0) return INCOMPLETE;
    }
    return INCOMPLETE;
  }

  /**
   * The fields that the last successful `read` found; once.
   *
   * @param text Latin-1, from `base` to the end of the section
   */
  headers(text: string): Headers {
    const parsed: ParsedFields = {
      text,
      marks: this.#marks.slice(0, this.#markCount),
      lengths: this.#lengths,
      present: this.#present,
      repeated: this.#repeated,
      plain: this.#plain,
    };
    return new Headers(undefined, parsed);
  }

  /** Whether that is the value of the first field with that bit that the last `read` of these bytes found. */
  valueIs(name: KnownNames, bytes: Uint8Array, value: Uint8Array): boolean {
    const marks = this.#marks;
    for (let at = 0; at < this.#markCount; at += 5) {
      if (marks[at + 4] !== name) continue;
      const start = marks[at + 2]! + this.#base;
      const end = marks[at + 3]! + this.#base;
      return areAt(bytes, start, end, value);
    }
    return false;
  }

  #readField(bytes: Buffer, from: number, end: number): number {
    const classes = byteClasses;
    let at = from;
    let seen = 0;
    while (at < end) {
      const kind = classes[bytes[at]!]!;
      if ((kind & TOKEN) === 0) break;
      seen |= kind;
      at += 1;
    }
    if (at === end) return INCOMPLETE;
    if (bytes[at] !== COLON || at === from) throw badName(bytes, from, at);
    const colon = at;
    at += 1;
    while (at < end && (bytes[at] === SP || bytes[at] === HT)) at += 1;
    const start = at;
    while (at < end && (classes[bytes[at]!]! & FIELD_VALUE) !== 0) at += 1;
    if (at === end) return INCOMPLETE;
    if (bytes[at] !== CR) throw badLineEnd(bytes, from, colon, at, 'CRLF after the value of field');
    if (at + 1 === end) return INCOMPLETE;
    if (bytes[at + 1] !== LF) throw badLineEnd(bytes, from, colon, at + 1, 'LF after CR in field');
    let stop = at;
    while (stop > start && (bytes[stop - 1] === SP || bytes[stop - 1] === HT)) stop -= 1;
    if (start !== colon + 2 || bytes[colon + 1] !== SP || stop !== at) this.#plain = false;
    this.#lengths |= lengthBit(colon - from);
    const name = (seen & UNDERSCORE) === 0 ? knownNameAt(bytes, from, colon) : UNDERSCORED;
    this.#repeated |= this.#present & name;
    this.#present |= name;
    const base = this.#base;
    const marks = this.#marks;
    const mark = this.#markCount;
    marks[mark] = from - base;
    marks[mark + 1] = colon - base;
    marks[mark + 2] = start - base;
    marks[mark + 3] = stop - base;
    marks[mark + 4] = name;
    this.#markCount = mark + 5;
    return at + 2;
  }
}

function areAt(bytes: Uint8Array, start: number, end: number, wanted: Uint8Array): boolean {
  if (end - start !== wanted.length) return false;
  for (let at = 0; at < wanted.length; at++) {
    if (bytes[start + at] !== wanted[at]) return false;
  }
  return true;
}

function badLineEnd(
  bytes: Buffer,
  from: number,
  colon: number,
  at: number,
  expected: string,
): Malformed {
  const name = bytes.latin1Slice(from, colon);
  return new Malformed(`expected ${expected} "${name}", got ${shown(bytes[at]!)}`);
}

function badName(bytes: Buffer, from: number, at: number): Malformed {
  const byte = bytes[at]!;
  if (at === from && (byte === SP || byte === HT)) {
    return new Malformed('expected a field name, got a blank: folded lines are not allowed');
  }
  if (at === from) return new Malformed(`expected a field name, got ${shown(byte)}`);
  return new Malformed(
    `expected ":" right after the field name "${bytes.latin1Slice(from, at)}", got ${shown(byte)}`,
  );
}

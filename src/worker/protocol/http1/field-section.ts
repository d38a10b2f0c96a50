/**
 * Field lines, as they stand in heads and in trailers (RFC 9112 §5): strictly
 * one CRLF per line, a token, a colon, a value. No folding, no space before the
 * colon, no control byte: each of those has been read differently by two
 * proxies in a row, and each such difference is a way to smuggle a request.
 */
import { Malformed } from '../malformed.ts';
import { COLON, CR, HT, isFieldValue, isToken, LF, shown, SP } from './bytes.ts';

const INCOMPLETE = -1;

/**
 * Reads field lines up to and including the empty one.
 *
 * @param fields what was read is appended here, flat
 * @returns the index after the empty line, or -1 if the bytes end before it
 * @throws {Malformed} as early as the bytes allow
 */
export function readFields(
  bytes: Buffer,
  from: number,
  end: number,
  maxCount: number,
  fields: string[],
): number {
  let at = from;
  while (at < end) {
    if (bytes[at] === CR) {
      if (at + 1 === end) return INCOMPLETE;
      if (bytes[at + 1] === LF) return at + 2;
      throw new Malformed(
        `expected LF after CR at the end of the header section, got ${shown(bytes[at + 1]!)}`,
      );
    }
    if (fields.length >= maxCount * 2) {
      throw new Malformed(`expected at most ${maxCount} fields, got more`, 'too-many-headers');
    }
    at = readField(bytes, at, end, fields);
    if (at < 0) return INCOMPLETE;
  }
  return INCOMPLETE;
}

function readField(bytes: Buffer, from: number, end: number, fields: string[]): number {
  let at = from;
  while (at < end && isToken(bytes[at]!)) at += 1;
  if (at === end) return INCOMPLETE;
  if (bytes[at] !== COLON || at === from) throw badName(bytes, from, at);
  const name = bytes.latin1Slice(from, at);
  at += 1;
  while (at < end && (bytes[at] === SP || bytes[at] === HT)) at += 1;
  const start = at;
  while (at < end && isFieldValue(bytes[at]!)) at += 1;
  if (at === end) return INCOMPLETE;
  if (bytes[at] !== CR)
    throw new Malformed(
      `expected CRLF after the value of field "${name}", got ${shown(bytes[at]!)}`,
    );
  if (at + 1 === end) return INCOMPLETE;
  if (bytes[at + 1] !== LF) {
    throw new Malformed(`expected LF after CR in field "${name}", got ${shown(bytes[at + 1]!)}`);
  }
  let stop = at;
  while (stop > start && (bytes[stop - 1] === SP || bytes[stop - 1] === HT)) stop -= 1;
  fields.push(name, bytes.latin1Slice(start, stop));
  return at + 2;
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

/** Names of header fields, and how they are compared. */

/**
 * A set of field names that parts of a text can be looked up in without making
 * strings of them: by length first, which settles most questions at once.
 */
export class NameSet {
  /** `lengthBit` of all names. */
  readonly lengths: number;
  readonly #byLength: Candidate[][] = [];

  /**
   * @param names in the set, in whatever case
   * @param guarded their twins are in the set, and they themselves are not; see `isTwinAt`
   */
  constructor(names: Iterable<string>, guarded: Iterable<string> = []) {
    let lengths = 0;
    const add = (name: string, matches: Candidate['matches']) => {
      (this.#byLength[name.length] ??= []).push({ name, matches });
      lengths |= lengthBit(name.length);
    };
    for (const name of names) add(name, isNameAt);
    // What has neither dash nor underscore can be spelled in one way only.
    for (const name of guarded) if (/[-_]/.test(name)) add(name, isTwinAt);
    this.lengths = lengths;
  }

  has(name: string): boolean {
    return this.hasPart(name, 0, name.length);
  }

  /** Whether `text[start..end)` is one of the names, in whatever case. */
  hasPart(text: string, start: number, end: number): boolean {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return false;
    for (const { name, matches } of candidates) if (matches(text, start, name)) return true;
    return false;
  }
}

interface Candidate {
  readonly name: string;
  readonly matches: (text: string, start: number, name: string) => boolean;
}

/** One of 32 bits for the length of a name; lengths that share one are told apart later. */
export function lengthBit(length: number): number {
  return 1 << (length & 31);
}

/** Field names are ASCII and case-insensitive (RFC 9110 §5.1). */
export function sameName(left: string, right: string): boolean {
  if (left === right) return true;
  return left.length === right.length && isNameAt(left, 0, right);
}

/** Whether `name` stands at that place of the text, in whatever case. */
export function isNameAt(text: string, start: number, name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const a = text.charCodeAt(start + at);
    const b = name.charCodeAt(at);
    if (a !== b && lowerCase(a) !== lowerCase(b)) return false;
  }
  return true;
}

/**
 * Whether a twin of `name` stands there: the same but for a dash in place of an
 * underscore or the other way round. To peers in the tradition of CGI, which
 * keep fields as variables, `X_User` and `X-User` are one.
 */
function isTwinAt(text: string, start: number, name: string): boolean {
  let differs = false;
  for (let at = 0; at < name.length; at++) {
    const a = text.charCodeAt(start + at);
    const b = name.charCodeAt(at);
    if (a === b || lowerCase(a) === lowerCase(b)) continue;
    if (!isDash(a) || !isDash(b)) return false;
    differs = true;
  }
  return differs;
}

function isDash(code: number): boolean {
  return code === 0x2d || code === 0x5f;
}

function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}

/** What proxies say about the client that they stand before. Sluice sets some of them; peers believe them all. */
export const CLAIMS = [
  'forwarded',
  'x-forwarded-by',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-real-ip',
] as const;

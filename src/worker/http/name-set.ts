/** Names of header fields, and how they are compared. */

/**
 * A set of field names that parts of a text can be looked up in without making
 * strings of them: by length first, which settles most questions at once.
 */
export class NameSet {
  /** `lengthBit` of all names. */
  readonly lengths: number;
  readonly #byLength: (string[] | undefined)[] = [];

  constructor(names: Iterable<string>) {
    let lengths = 0;
    for (const name of names) {
      (this.#byLength[name.length] ??= []).push(name);
      lengths |= lengthBit(name.length);
    }
    this.lengths = lengths;
  }

  has(name: string): boolean {
    return this.hasPart(name, 0, name.length);
  }

  /** Whether `text[start..end)` is one of the names, in whatever case. */
  hasPart(text: string, start: number, end: number): boolean {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return false;
    for (const name of candidates) if (isNameAt(text, start, name)) return true;
    return false;
  }
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

function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}

/** The name with an underscore in place of one or more of its dashes: to many peers the same variable. */
export function twinsOf(name: string): string[] {
  const [head = '', ...rest] = name.toLowerCase().split('-');
  const spellings = rest.reduce(
    (made, part) => made.flatMap((start) => [`${start}-${part}`, `${start}_${part}`]),
    [head],
  );
  return spellings.slice(1);
}

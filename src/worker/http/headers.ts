/**
 * The header fields of a message: names are matched without regard to case,
 * but the case, the order and the duplicates that arrived are kept, because
 * peers exist that care (RFC 9110 §5).
 *
 * A proxy reads two or three fields and passes the rest on. So what was parsed
 * stays one piece of text with marks in it, and passing it on means copying
 * whole runs of lines: strings for each name and value would cost more than
 * everything else that is done to a request. Fields that were added stand
 * behind, as strings. Whatever needs more than reading, removing and adding
 * first turns all of them into strings.
 *
 * Attacker-chosen names never become object keys here.
 */
import { isNameAt, lengthBit, sameName, type NameSet } from './name-set.ts';

/** Numbers per parsed field in `marks`: where its name starts and ends, and its value. */
const MARKS = 4;
/** In place of the start of a removed field's name. */
const REMOVED = -1;

export class Headers {
  /** What the marks point into: Latin-1, lines ended by CRLF. */
  readonly #text: string;
  #marks: number[];
  /** Every line is `name: value CRLF` with one space and nothing else, so that it can go out as it is. */
  readonly #plain: boolean;
  /** Which lengths the parsed names have, a bit for each: most questions end here. */
  readonly #lengths: number;
  /** The fields after the parsed ones: name, value, name, value. */
  #added: string[];

  /** @param fields flat names and values, taken over, not copied */
  constructor(fields: string[] = [], text = '', marks: number[] = [], lengths = 0, plain = true) {
    this.#added = fields;
    this.#text = text;
    this.#marks = marks;
    this.#lengths = lengths;
    this.#plain = plain;
  }

  static from(fields: Readonly<Record<string, string>>): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(fields)) headers.append(name, value);
    return headers;
  }

  /**
   * For codecs: fields as they stand in a head that was checked.
   *
   * @param marks four indices into `text` per field: start and end of name and value
   * @param lengths `lengthBit` of all names
   * @param plain each line is exactly `name: value` and CRLF
   */
  static parsed(text: string, marks: number[], lengths: number, plain: boolean): Headers {
    return new Headers([], text, marks, lengths, plain);
  }

  /** How many field lines there are. */
  get size(): number {
    let count = this.#added.length / 2;
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#marks[at] !== REMOVED) count += 1;
    }
    return count;
  }

  /** The first value of that name; most fields may occur only once. */
  get(name: string): string | undefined {
    const mark = this.#findParsed(name, 0);
    if (mark >= 0) return this.#valueAt(mark);
    const at = this.#findAdded(name, 0);
    return at < 0 ? undefined : this.#added[at + 1];
  }

  /** Every value of that name, in the order of arrival. */
  getAll(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#findParsed(name, 0); at >= 0; at = this.#findParsed(name, at + MARKS)) {
      values.push(this.#valueAt(at));
    }
    for (let at = this.#findAdded(name, 0); at >= 0; at = this.#findAdded(name, at + 2)) {
      values.push(this.#added[at + 1]!);
    }
    return values;
  }

  has(name: string): boolean {
    return this.#findParsed(name, 0) >= 0 || this.#findAdded(name, 0) >= 0;
  }

  /** That name occurs more than once. */
  repeats(name: string): boolean {
    const mark = this.#findParsed(name, 0);
    if (mark >= 0) {
      return this.#findParsed(name, mark + MARKS) >= 0 || this.#findAdded(name, 0) >= 0;
    }
    const at = this.#findAdded(name, 0);
    return at >= 0 && this.#findAdded(name, at + 2) >= 0;
  }

  /**
   * One field of that name with that value, behind the others, instead of all that were there.
   *
   * @throws {TypeError} the name is no token or the value has a control character:
   *   it could end the line early and smuggle a field of its own (RFC 9110 §5.5)
   */
  set(name: string, value: string): this {
    checkField(name, value);
    this.delete(name);
    this.#added.push(name, value);
    return this;
  }

  /** One more field, beside those of that name that are there already. Throws as `set` does. */
  append(name: string, value: string): this {
    checkField(name, value);
    this.#added.push(name, value);
    return this;
  }

  /** As `append`, for values of Sluice's own that cannot hold what must not be on a line. */
  push(name: string, value: string): void {
    this.#added.push(name, value);
  }

  /** Removes every field of that name. */
  delete(name: string): this {
    for (let at = this.#findParsed(name, 0); at >= 0; at = this.#findParsed(name, at + MARKS)) {
      this.#marks[at] = REMOVED;
    }
    if (this.#added.length > 0) this.#removeAdded(name, 0);
    return this;
  }

  /** Removes every field whose name is in the set. */
  deleteAll(names: NameSet): void {
    if ((this.#lengths & names.lengths) !== 0) this.#removeParsed(names);
    if (this.#added.length > 0) this.filter((name) => !names.has(name));
  }

  #removeParsed(names: NameSet): void {
    const marks = this.#marks;
    const text = this.#text;
    for (let at = 0; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (start !== REMOVED && names.hasPart(text, start, marks[at + 1]!)) marks[at] = REMOVED;
    }
  }

  /** Keeps the fields for which `wanted` says yes. */
  filter(wanted: (name: string, value: string) => boolean): void {
    this.#separate();
    const fields = this.#added;
    let kept = 0;
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at]!;
      const value = fields[at + 1]!;
      if (!wanted(name, value)) continue;
      fields[kept] = name;
      fields[kept + 1] = value;
      kept += 2;
    }
    fields.length = kept;
  }

  clone(): Headers {
    return new Headers(
      this.#added.slice(),
      this.#text,
      this.#marks.slice(),
      this.#lengths,
      this.#plain,
    );
  }

  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#marks[at] !== REMOVED) yield [this.#nameAt(at), this.#valueAt(at)];
    }
    for (let at = 0; at < this.#added.length; at += 2) {
      yield [this.#added[at]!, this.#added[at + 1]!];
    }
  }

  /** For codecs: all of it as lines, each with its CRLF. */
  lines(): string {
    let lines = this.#plain ? this.#plainLines() : this.#tidiedLines();
    const added = this.#added;
    for (let at = 0; at < added.length; at += 2) lines += `${added[at]}: ${added[at + 1]}\r\n`;
    return lines;
  }

  /** Runs of lines between removed ones, each in one piece. */
  #plainLines(): string {
    const marks = this.#marks;
    const text = this.#text;
    let lines = '';
    let runStart = -1;
    let runEnd = -1;
    for (let at = 0; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (start === REMOVED) continue;
      if (start !== runEnd) {
        if (runStart >= 0) lines += text.slice(runStart, runEnd);
        runStart = start;
      }
      runEnd = marks[at + 3]! + CRLF_LENGTH;
    }
    return runStart < 0 ? lines : lines + text.slice(runStart, runEnd);
  }

  #tidiedLines(): string {
    let lines = '';
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#marks[at] !== REMOVED) lines += `${this.#nameAt(at)}: ${this.#valueAt(at)}\r\n`;
    }
    return lines;
  }

  /** Makes strings of the parsed fields. */
  #separate(): void {
    if (this.#marks.length === 0) return;
    const fields = [...this].flat();
    this.#marks = [];
    this.#added = fields;
  }

  #nameAt(mark: number): string {
    return this.#text.slice(this.#marks[mark], this.#marks[mark + 1]);
  }

  #valueAt(mark: number): string {
    return this.#text.slice(this.#marks[mark + 2], this.#marks[mark + 3]);
  }

  #findParsed(name: string, from: number): number {
    const { length } = name;
    if ((this.#lengths & lengthBit(length)) === 0) return -1;
    const marks = this.#marks;
    for (let at = from; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (marks[at + 1]! - start !== length || start === REMOVED) continue;
      if (isNameAt(this.#text, start, name)) return at;
    }
    return -1;
  }

  #findAdded(name: string, from: number): number {
    const fields = this.#added;
    for (let at = from; at < fields.length; at += 2) {
      if (sameName(fields[at]!, name)) return at;
    }
    return -1;
  }

  #removeAdded(name: string, from: number): void {
    const fields = this.#added;
    let kept = from;
    for (let at = from; at < fields.length; at += 2) {
      if (sameName(fields[at]!, name)) continue;
      fields[kept] = fields[at]!;
      fields[kept + 1] = fields[at + 1]!;
      kept += 2;
    }
    fields.length = kept;
  }
}

const CRLF_LENGTH = 2;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Visible characters, blanks, tabs and obs-text; checked before a value can reach the wire. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function checkField(name: string, value: string): void {
  if (!TOKEN.test(name)) {
    throw new TypeError(
      `header name: expected a token such as "x-request-id", got ${JSON.stringify(name)}`,
    );
  }
  if (!FIELD_VALUE.test(value)) {
    throw new TypeError(
      `header ${name}: expected Latin-1 text without control characters, got ${JSON.stringify(value)}`,
    );
  }
}

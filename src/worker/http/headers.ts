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
import { knownName, UNDERSCORED, type KnownNames } from './known-names.ts';
import { isNameAt, lengthBit, sameName, type NameSet } from './name-set.ts';

/**
 * Numbers per parsed field in `marks`: where its name starts and ends, where its
 * value does, and the bit of its name (`known-names.ts`).
 */
const MARKS = 5;
const VALUE_START = 2;
const VALUE_END = 3;
const BIT = 4;
/** In place of the start of a removed field's name. */
const REMOVED = -1;

/** What a codec has found out about the fields of a head. */
export interface ParsedFields {
  /** What the marks point into: Latin-1, lines ended by CRLF. */
  readonly text: string;
  /** Five per field, in order: start and end of the name, start and end of the value, bit of the name. */
  readonly marks: number[];
  /** `lengthBit` of all names: most questions end here. */
  readonly lengths: number;
  /** Bits of the names that there are. */
  readonly present: KnownNames;
  /** Bits of those that there are more than once. */
  readonly repeated: KnownNames;
  /** Every line is `name: value CRLF` with one space and nothing else, so that it can go out as it is. */
  readonly plain: boolean;
}

const NO_FIELDS: ParsedFields = {
  text: '',
  marks: [],
  lengths: 0,
  present: 0,
  repeated: 0,
  plain: true,
};

/** In place of an array for fields that were added, while there are none; never changed. */
const NONE: string[] = [];

export class Headers {
  readonly #parsed: ParsedFields;
  #marks: number[];
  /** Somebody else uses the same ones: they are copied before the first change. */
  #marksAreShared = false;
  #present: KnownNames;
  #repeated: KnownNames;
  /** Of the parsed fields, those with these names are gone, whatever the marks say: to note that costs nothing. */
  #removed: KnownNames = 0;
  /** The fields after the parsed ones: name, value, name, value. */
  #added: string[];
  /** And behind those, lines of Sluice's own that are looked at only if somebody asks. */
  #ownLines = '';

  /** @param fields flat names and values, taken over, not copied */
  constructor(fields: string[] = NONE, parsed: ParsedFields = NO_FIELDS) {
    this.#parsed = parsed;
    this.#marks = parsed.marks;
    this.#present = parsed.present;
    this.#repeated = parsed.repeated;
    this.#added = fields;
    for (let at = 0; at < fields.length; at += 2) this.#note(fields[at]!);
  }

  static from(fields: Readonly<Record<string, string>>): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(fields)) headers.append(name, value);
    return headers;
  }

  /** How many field lines there are. */
  get size(): number {
    this.#readOwnLines();
    let count = this.#added.length / 2;
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#isThere(at)) count += 1;
    }
    return count;
  }

  // ── the fields that Sluice itself looks at, without a search ──────────────

  /** None of those names is there. */
  lacks(names: KnownNames): boolean {
    return (this.#present & names) === 0;
  }

  /** That name is there more than once. */
  repeats(name: KnownNames): boolean {
    return (this.#repeated & name) !== 0;
  }

  /** The first value of the field with that bit, whose name is `name`. */
  known(bit: KnownNames, name: string): string | undefined {
    if ((this.#present & bit) === 0) return undefined;
    const mark = this.#findKnown(bit);
    if (mark >= 0) return this.#valueAt(mark);
    const at = this.#findAdded(name, 0);
    return at < 0 ? undefined : this.#added[at + 1];
  }

  /** Removes every field with one of those names. */
  remove(names: KnownNames): void {
    if ((this.#present & names) === 0) return;
    this.#readOwnLines();
    this.#removed |= names;
    if (this.#added.length > 0) this.#keepAdded((name) => (knownName(name) & names) === 0);
    this.#present &= ~names;
    this.#repeated &= ~names;
  }

  // ── all fields ────────────────────────────────────────────────────────────

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

  /**
   * One field of that name with that value, behind the others, instead of all that were there.
   *
   * @throws {TypeError} the name is no token or the value has a control character:
   *   it could end the line early and smuggle a field of its own (RFC 9110 §5.5)
   */
  set(name: string, value: string): this {
    checkField(name, value);
    this.delete(name);
    this.push(name, value);
    return this;
  }

  /** One more field, beside those of that name that are there already. Throws as `set` does. */
  append(name: string, value: string): this {
    checkField(name, value);
    this.push(name, value);
    return this;
  }

  /** As `append`, for values of Sluice's own that cannot hold what must not be on a line. */
  push(name: string, value: string): void {
    this.#readOwnLines();
    this.#add(name, value);
    this.#note(name);
  }

  /**
   * As `push`, for fields that are the same in many messages.
   *
   * @param lines `Name: value CRLF`, as often as there are fields
   * @param names the known ones among their names, none of which is there yet
   */
  pushLines(lines: string, names: KnownNames): void {
    this.#ownLines += lines;
    this.#present |= names;
  }

  /** Removes every field of that name. */
  delete(name: string): this {
    const bit = knownName(name) & ~UNDERSCORED;
    if (bit !== 0) {
      this.remove(bit);
      return this;
    }
    this.#readOwnLines();
    for (let at = this.#findParsed(name, 0); at >= 0; at = this.#findParsed(name, at + MARKS)) {
      this.#ownMarks()[at] = REMOVED;
    }
    if (this.#added.length > 0) this.#keepAdded((added) => !sameName(added, name));
    return this;
  }

  /** Removes every field whose name is in the set. */
  deleteAll(names: NameSet): void {
    this.#readOwnLines();
    if ((this.#parsed.lengths & names.lengths) !== 0) this.#deleteParsed(names);
    if (this.#added.length > 0) this.#keepAdded((name) => !names.has(name));
    this.#countAgain();
  }

  /** Keeps the fields for which `wanted` says yes. */
  filter(wanted: (name: string, value: string) => boolean): void {
    this.#separate();
    this.#keepAdded(wanted);
    this.#countAgain();
  }

  clone(): Headers {
    const copy = new Headers(NONE, this.#parsed);
    copy.#marks = this.#marks;
    copy.#marksAreShared = true;
    this.#marksAreShared = true;
    copy.#present = this.#present;
    copy.#repeated = this.#repeated;
    copy.#removed = this.#removed;
    copy.#ownLines = this.#ownLines;
    if (this.#added.length > 0) copy.#added = this.#added.slice();
    return copy;
  }

  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    this.#readOwnLines();
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#isThere(at)) yield [this.#nameAt(at), this.#valueAt(at)];
    }
    for (let at = 0; at < this.#added.length; at += 2) {
      yield [this.#added[at]!, this.#added[at + 1]!];
    }
  }

  /** For codecs: all of it as lines, each with its CRLF. */
  lines(): string {
    let lines = this.#parsed.plain ? this.#plainLines() : this.#tidiedLines();
    const added = this.#added;
    for (let at = 0; at < added.length; at += 2)
      lines += added[at]! + ': ' + added[at + 1]! + '\r\n';
    return this.#ownLines === '' ? lines : lines + this.#ownLines;
  }

  /** Runs of lines between removed ones, each in one piece. */
  #plainLines(): string {
    const marks = this.#marks;
    const removed = this.#removed;
    const { text } = this.#parsed;
    let lines = '';
    let runStart = -1;
    let runEnd = -1;
    for (let at = 0; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (start === REMOVED || (marks[at + BIT]! & removed) !== 0) continue;
      if (start !== runEnd) {
        if (runStart >= 0) lines += text.slice(runStart, runEnd);
        runStart = start;
      }
      runEnd = marks[at + VALUE_END]! + CRLF_LENGTH;
    }
    return runStart < 0 ? lines : lines + text.slice(runStart, runEnd);
  }

  #tidiedLines(): string {
    let lines = '';
    for (let at = 0; at < this.#marks.length; at += MARKS) {
      if (this.#isThere(at)) lines += `${this.#nameAt(at)}: ${this.#valueAt(at)}\r\n`;
    }
    return lines;
  }

  // ── what is known about the names ─────────────────────────────────────────

  #note(name: string): void {
    const bit = knownName(name);
    this.#repeated |= this.#present & bit;
    this.#present |= bit;
  }

  #countAgain(): void {
    this.#present = 0;
    this.#repeated = 0;
    const marks = this.#marks;
    for (let at = 0; at < marks.length; at += MARKS) {
      if (!this.#isThere(at)) continue;
      this.#repeated |= this.#present & marks[at + BIT]!;
      this.#present |= marks[at + BIT]!;
    }
    for (let at = 0; at < this.#added.length; at += 2) this.#note(this.#added[at]!);
  }

  // ── the three places where fields are ─────────────────────────────────────

  /** Whether the parsed field with that mark has not been removed. */
  #isThere(mark: number): boolean {
    return this.#marks[mark] !== REMOVED && (this.#marks[mark + BIT]! & this.#removed) === 0;
  }

  /** Marks that may be changed. */
  #ownMarks(): number[] {
    if (this.#marksAreShared) {
      this.#marks = this.#marks.slice();
      this.#marksAreShared = false;
    }
    return this.#marks;
  }

  #add(name: string, value: string): void {
    if (this.#added === NONE) this.#added = [name, value];
    else this.#added.push(name, value);
  }

  /** Makes strings of the lines of our own. */
  #readOwnLines(): void {
    if (this.#ownLines === '') return;
    const lines = this.#ownLines.split('\r\n');
    this.#ownLines = '';
    for (const line of lines) {
      const colon = line.indexOf(': ');
      if (colon > 0) this.#add(line.slice(0, colon), line.slice(colon + 2));
    }
  }

  /** Makes strings of the parsed fields. */
  #separate(): void {
    this.#readOwnLines();
    if (this.#marks.length === 0) return;
    const fields = [...this].flat();
    this.#marks = [];
    this.#removed = 0;
    this.#marksAreShared = false;
    this.#added = fields;
  }

  #nameAt(mark: number): string {
    return this.#parsed.text.slice(this.#marks[mark], this.#marks[mark + 1]);
  }

  #valueAt(mark: number): string {
    return this.#parsed.text.slice(this.#marks[mark + VALUE_START], this.#marks[mark + VALUE_END]);
  }

  /** The first parsed one. */
  #findKnown(bit: KnownNames): number {
    if ((this.#removed & bit) !== 0) return -1;
    const marks = this.#marks;
    for (let at = 0; at < marks.length; at += MARKS) {
      if (marks[at + BIT] === bit && marks[at] !== REMOVED) return at;
    }
    return -1;
  }

  #findParsed(name: string, from: number): number {
    const { length } = name;
    if ((this.#parsed.lengths & lengthBit(length)) === 0) return -1;
    const marks = this.#marks;
    for (let at = from; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (marks[at + 1]! - start !== length || !this.#isThere(at)) continue;
      if (isNameAt(this.#parsed.text, start, name)) return at;
    }
    return -1;
  }

  #findAdded(name: string, from: number): number {
    this.#readOwnLines();
    const fields = this.#added;
    for (let at = from; at < fields.length; at += 2) {
      if (sameName(fields[at]!, name)) return at;
    }
    return -1;
  }

  #deleteParsed(names: NameSet): void {
    const marks = this.#ownMarks();
    const { text } = this.#parsed;
    for (let at = 0; at < marks.length; at += MARKS) {
      const start = marks[at]!;
      if (start !== REMOVED && names.hasPart(text, start, marks[at + 1]!)) marks[at] = REMOVED;
    }
  }

  #keepAdded(wanted: (name: string, value: string) => boolean): void {
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

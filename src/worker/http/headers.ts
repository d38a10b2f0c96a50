/**
 * The header fields of a message: names are matched without regard to case,
 * but the case, the order and the duplicates that arrived are kept, because
 * peers exist that care (RFC 9110 §5).
 *
 * Fields are stored flat, `[name, value, name, value, …]`: a proxy reads two or
 * three of them and passes the rest on, so an index per message would cost more
 * than the few comparisons it saves. Attacker-chosen names never become object
 * keys here.
 */
export class Headers {
  readonly #fields: string[];

  /** @param fields flat names and values, taken over, not copied */
  constructor(fields: string[] = []) {
    this.#fields = fields;
  }

  static from(fields: Readonly<Record<string, string>>): Headers {
    return new Headers(Object.entries(fields).flat());
  }

  /** How many field lines there are. */
  get size(): number {
    return this.#fields.length / 2;
  }

  /** The flat list itself: `name, value, name, value`. For codecs; do not change it. */
  get raw(): readonly string[] {
    return this.#fields;
  }

  /** The first value of that name; most fields may occur only once. */
  get(name: string): string | undefined {
    const at = this.#find(name, 0);
    return at < 0 ? undefined : this.#fields[at + 1];
  }

  /** Every value of that name, in the order of arrival. */
  getAll(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + 2)) {
      values.push(this.#fields[at + 1]!);
    }
    return values;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0;
  }

  /**
   * One field of that name with that value, in place of all that were there.
   *
   * @throws {TypeError} the name is no token or the value has a control character:
   *   it could end the line early and smuggle a field of its own (RFC 9110 §5.5)
   */
  set(name: string, value: string): this {
    checkField(name, value);
    const at = this.#find(name, 0);
    if (at < 0) {
      this.#fields.push(name, value);
      return this;
    }
    this.#fields[at] = name;
    this.#fields[at + 1] = value;
    this.#removeFrom(name, at + 2);
    return this;
  }

  /** One more field, beside those of that name that are there already. Throws as `set` does. */
  append(name: string, value: string): this {
    checkField(name, value);
    this.#fields.push(name, value);
    return this;
  }

  /** Removes every field of that name. */
  delete(name: string): this {
    this.#removeFrom(name, 0);
    return this;
  }

  /** Keeps the fields for which `wanted` says yes. */
  filter(wanted: (name: string, value: string) => boolean): void {
    const fields = this.#fields;
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
    return new Headers(this.#fields.slice());
  }

  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let at = 0; at < this.#fields.length; at += 2) {
      yield [this.#fields[at]!, this.#fields[at + 1]!];
    }
  }

  #find(name: string, from: number): number {
    const fields = this.#fields;
    for (let at = from; at < fields.length; at += 2) {
      if (sameName(fields[at]!, name)) return at;
    }
    return -1;
  }

  #removeFrom(name: string, from: number): void {
    const fields = this.#fields;
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

/** Field names are ASCII and case-insensitive (RFC 9110 §5.1). */
export function sameName(left: string, right: string): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  return left.toLowerCase() === right.toLowerCase();
}

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

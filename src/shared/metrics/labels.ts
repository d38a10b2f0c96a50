/** The labels of a program's metric in this process: which number a value has. */
import type { Log } from '../log/log.ts';
import type { LabelRange, LabelTable } from '../memory/label-table.ts';
import { OTHER, type LabelDeclarations, type LabelSpec, type LabelValues } from './spec.ts';

export interface Label {
  readonly size: number;
  /** @throws {TypeError} it has no such value */
  indexOf(values: LabelValues<LabelDeclarations>): number;
}

export class ClosedLabel implements Label {
  readonly size: number;
  readonly #metric: string;
  readonly #name: string;
  readonly #indexes: ReadonlyMap<string, number>;

  constructor(metric: string, name: string, values: readonly string[]) {
    this.#metric = metric;
    this.#name = name;
    this.size = values.length;
    this.#indexes = new Map(values.map((value, index) => [value, index]));
  }

  indexOf(values: LabelValues<LabelDeclarations>): number {
    const index = this.#indexes.get(values[this.#name]!);
    if (index !== undefined) return index;
    const known = [...this.#indexes.keys()].map((value) => `"${value}"`).join(', ');
    throw new TypeError(
      `metric "${this.#metric}": label "${this.#name}": expected one of ${known}, got ${JSON.stringify(values[this.#name])}`,
    );
  }
}

export class OpenLabel implements Label {
  readonly size: number;
  readonly #metric: string;
  readonly #spec: Extract<LabelSpec, { max: number }>;
  readonly #range: LabelRange;
  readonly #table: LabelTable;
  readonly #log: Log | undefined;
  /** Never more than the label has rows. */
  readonly #known = new Map<string, number>();
  #isFull = false;

  constructor(
    metric: string,
    spec: Extract<LabelSpec, { max: number }>,
    start: number,
    table: LabelTable,
    log: Log | undefined,
  ) {
    this.size = spec.max + 1;
    this.#metric = metric;
    this.#spec = spec;
    this.#range = { start, rows: spec.max };
    this.#table = table;
    this.#log = log;
  }

  indexOf(values: LabelValues<LabelDeclarations>): number {
    const value = values[this.#spec.name];
    const known = this.#known.get(value!);
    if (known !== undefined) return known;
    if (typeof value !== 'string') {
      throw new TypeError(
        `metric "${this.#metric}": label "${this.#spec.name}": expected text, got ${JSON.stringify(value)}`,
      );
    }
    return this.#isFull || value === OTHER ? this.#spec.max : this.#claim(value);
  }

  #claim(value: string): number {
    const row = this.#table.claim(this.#range, value);
    if (row === undefined) {
      this.#overflow();
      return this.#spec.max;
    }
    this.#known.set(value, row);
    return row;
  }

  #overflow(): void {
    const values = this.#table.valuesIn(this.#range);
    // Else it was only too long.
    if (values.includes(undefined)) return;
    this.#isFull = true;
    for (const [row, value] of values.entries()) this.#known.set(value!, row);
    const fields = { metric: this.#metric, label: this.#spec.name, max: this.#spec.max };
    this.#log?.warn(
      fields,
      `a label has more values than it may have; the rest is counted as "${OTHER}"`,
    );
  }
}

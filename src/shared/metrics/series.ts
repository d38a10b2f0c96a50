/** One series of a program's metric: some slots of this process's row, and what may be done with them. */
export interface Counter {
  /** @throws {RangeError} the amount is negative, or no number */
  add(amount?: number): void;
}

/** The page shows the sum over all workers; what a worker has set ends with it. */
export interface Gauge {
  set(value: number): void;
  add(amount: number): void;
}

export interface Histogram {
  /** @throws {RangeError} the value is no finite number */
  observe(value: number): void;
}

/** Its slots come with `move`, and may change with it. */
export abstract class Series {
  protected row: Float64Array = NO_ROW;
  protected slot = 0;

  move(row: Float64Array, slot: number): void {
    this.row = row;
    this.slot = slot;
  }
}

const NO_ROW = new Float64Array(0);

export class CounterSeries extends Series implements Counter {
  add(amount = 1): void {
    // So asked that NaN is refused, too: it would stay in the totals for good.
    if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY))
      throw new RangeError(`counter: expected a number of at least 0, got ${amount}`);
    this.row[this.slot]! += amount;
  }
}

export class GaugeSeries extends Series implements Gauge {
  set(value: number): void {
    this.row[this.slot] = value;
  }

  add(amount: number): void {
    this.row[this.slot]! += amount;
  }
}

export class HistogramSeries extends Series implements Histogram {
  readonly #buckets: readonly number[];

  constructor(buckets: readonly number[]) {
    super();
    this.#buckets = buckets;
  }

  observe(value: number): void {
    if (!Number.isFinite(value))
      throw new RangeError(`histogram: expected a finite number, got ${value}`);
    const buckets = this.#buckets;
    let bucket = 0;
    while (bucket < buckets.length && value > buckets[bucket]!) bucket += 1;
    this.row[this.slot + bucket]! += 1;
    this.row[this.slot + buckets.length + 1]! += value;
  }
}

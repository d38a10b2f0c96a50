/** Which numbers were seen, a bit each, and how often one came that had been seen before. */

/** 128 MiB of bits would be a run of months. */
const MAX_NUMBER = 2 ** 30;

export class Sightings {
  /** Sightings beyond the first of each number. */
  repeated = 0;
  #bits = new Uint8Array(1024);

  add(number: number): void {
    if (number >= MAX_NUMBER) throw new RangeError(`numbers end at ${MAX_NUMBER}, got ${number}`);
    const at = number >> 3;
    if (at >= this.#bits.length) this.#grow(at);
    const bit = 1 << (number & 7);
    if ((this.#bits[at]! & bit) !== 0) this.repeated += 1;
    this.#bits[at]! |= bit;
  }

  #grow(at: number): void {
    const larger = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
    larger.set(this.#bits);
    this.#bits = larger;
  }
}

/** Whether something is the first of its kind in this second, so that a flood of it is one line in the log. */
export class OncePerSecond {
  #second = Number.NaN;
  readonly #seen = new Set<string>();

  /** Beyond `MAX_KINDS` in a second none is the first. */
  isFirst(kind: string, nowNs: number): boolean {
    const second = Math.floor(nowNs / 1e9);
    if (second !== this.#second) {
      this.#second = second;
      this.#seen.clear();
    }
    if (this.#seen.size >= MAX_KINDS || this.#seen.has(kind)) return false;
    this.#seen.add(kind);
    return true;
  }
}

/** A log that takes more lines a second helps nobody. */
const MAX_KINDS = 100;

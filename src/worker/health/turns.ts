/**
 * Lets a bounded number of things run at the same time. Those that wait are
 * taken from their groups in turn, so that a group with very many, or with slow
 * ones, does not keep the others out.
 */
type Run = (leave: () => void) => void;

export class Turns {
  readonly #atOnce: number;
  /** Those that wait, by group; a group that was served moves to the end. */
  readonly #waiting = new Map<string, Set<Run>>();
  #running = 0;

  /** @param atOnce how many may run */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /**
   * @param run begins, now or later, and calls `leave` once when it is done
   * @returns takes it back if it has not begun
   */
  enter(group: string, run: Run): () => void {
    const ofGroup = this.#waiting.get(group) ?? new Set();
    this.#waiting.set(group, ofGroup.add(run));
    this.#next();
    return () => {
      ofGroup.delete(run);
    };
  }

  /** Nobody who waits gets a turn any more. */
  end(): void {
    this.#waiting.clear();
  }

  #next(): void {
    while (this.#running < this.#atOnce) {
      const run = this.#take();
      if (run === undefined) return;
      this.#running += 1;
      run(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  #take(): Run | undefined {
    for (const [group, ofGroup] of this.#waiting) {
      this.#waiting.delete(group);
      const [first] = ofGroup;
      if (first === undefined) continue; // they were all taken back
      ofGroup.delete(first);
      if (ofGroup.size > 0) this.#waiting.set(group, ofGroup);
      return first;
    }
    return undefined;
  }
}

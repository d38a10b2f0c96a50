/**
 * Is a worker well? Looked at once a second, from what it writes into its row of
 * the metrics. Pure.
 */
export interface HealthLimits {
  readonly stuckAfterMs: number;
  /** Resident bytes; absent: no bound. */
  readonly maxMemory: number | undefined;
  readonly maxAgeMs: number | undefined;
}

export interface Signs {
  /** Grows with every second in which the event loop has turned. */
  readonly beats: number;
  readonly residentBytes: number;
  readonly livedMs: number;
}

/** `stuck` serves nobody; `big` and `old` serve well, and are to be replaced in peace. */
export type Health = 'well' | 'stuck' | 'big' | 'old';

export const LOOK_INTERVAL_MS = 1_000;

/** Where the bound is below what the program needs, renewing would follow renewing without a pause. */
const YOUNG_MS = 5_000;

export class Pulse {
  #beats = -1;
  #looksWithoutBeat = 0;

  /**
   * Time is counted in looks and not read from a clock: where the whole machine
   * stood still, the supervisor did so too, and nobody is to blame.
   */
  look({ beats, residentBytes, livedMs }: Signs, limits: HealthLimits): Health {
    this.#looksWithoutBeat = beats === this.#beats ? this.#looksWithoutBeat + 1 : 0;
    this.#beats = beats;
    if (this.#looksWithoutBeat * LOOK_INTERVAL_MS >= limits.stuckAfterMs) return 'stuck';
    if (limits.maxMemory !== undefined && residentBytes > limits.maxMemory && livedMs >= YOUNG_MS)
      return 'big';
    if (limits.maxAgeMs !== undefined && livedMs > limits.maxAgeMs) return 'old';
    return 'well';
  }
}

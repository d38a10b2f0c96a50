/** Parts of Node that its published types leave out. */

interface Buffer {
  /** As `toString('latin1', start, end)`, without the checks in front of it. */
  latin1Slice(start: number, end: number): string;
  /** As `write(text, offset, 'latin1')`, without the checks in front of it. */
  latin1Write(text: string, offset: number): number;
}

declare namespace NodeJS {
  interface Process {
    /** The supplementary groups of that user, and `extraGroup`. */
    initgroups?(user: string | number, extraGroup: string | number): void;
  }
}

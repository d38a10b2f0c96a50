/** One line of the result: what was asked, what it is to be, and what it is. */
export interface Finding {
  readonly what: string;
  readonly goal: string;
  readonly figure: string;
  readonly isMet: boolean;
}

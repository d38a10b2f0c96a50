/** A reason to stop that the person at the terminal can act on: printed as one line, without a stack. */
export class BenchFailure extends Error {
  override readonly name = 'BenchFailure';
}

/** The proof itself cannot go on, which says nothing about what was sent; printed as one message. */
export class ProveFailure extends Error {
  override readonly name = 'ProveFailure';
}

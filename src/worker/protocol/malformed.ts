/**
 * A peer or a client sent bytes that break the protocol. Codecs throw it; the
 * connection that owns the codec turns it into a `ProxyError` for its side.
 *
 * `code` is a row of the error catalog without its side, so that one codec can
 * serve both directions: `malformed-message` becomes
 * `downstream/malformed-message` or `upstream/malformed-message`.
 */
export type MalformedCode =
  | 'malformed-message'
  | 'head-too-large'
  | 'target-too-long'
  | 'too-many-headers'
  | 'version-not-supported'
  | 'transfer-coding-not-supported'
  | 'expectation-failed';

export class Malformed extends Error {
  override readonly name = 'Malformed';
  readonly code: MalformedCode;

  /** @param message *expected … got …*, for the operator's log; never sent to the peer */
  constructor(message: string, code: MalformedCode = 'malformed-message') {
    super(message);
    this.code = code;
  }
}

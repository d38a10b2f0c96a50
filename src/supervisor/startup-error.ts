/**
 * The operator must change something before Sluice can start: a port is taken,
 * a file cannot be read. The message is all there is to say; a stack would only
 * hide it.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

/** Methods that a reverse proxy must not pass on. */
import { ProxyError } from '../../shared/errors/proxy-error.ts';

/**
 * CONNECT would make Sluice an open proxy; TRACE sends cookies and credentials
 * back to whoever asks (RFC 9110 §9.3.8).
 *
 * @throws {ProxyError} `downstream/method-not-allowed`
 */
export function refuseMethod(method: string): void {
  if (method !== 'CONNECT' && method !== 'TRACE') return;
  throw new ProxyError(
    'downstream/method-not-allowed',
    `expected a method for a resource, got ${method}`,
  );
}

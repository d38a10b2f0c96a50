/** Why a handshake failed, in OpenSSL's words but without the name of its source file. */
export function handshakeReason(error: Error): string {
  const { reason, code } = error as Error & { readonly reason?: unknown; readonly code?: unknown };
  const given = typeof reason === 'string' ? reason : error.message;
  // Node's advice is about an option of its own, not about ours.
  const words = given.replace(/; if the root CA is installed locally.*$/, '');
  return typeof code === 'string' ? `${words} (${code})` : words;
}
